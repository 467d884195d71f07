-- WITH clock
-- Open a session: its fast copy, the sealed WeChat key, the journal entry and the
-- record that repeats of the same code are answered from, all or nothing.
-- KEYS  [1] code  [2] session  [3] sessions of the user  [4] sealed WeChat key
--       [5] login journal  [6] cached profile  [7] standing of the user
--       [8] mark that the standings are complete  [9] sealed WeChat key of before
-- ARGV  [1] record (begins with 'r')  [2] life of the record in ms
--       [3] session id  [4] user id  [5] app id  [6] now in ms  [7] session life in ms
--       [8] sealed key  [9] its life in ms  [10] journal entry
--       [11] '1' when SQL was asked for the standing
--       [12] how long another key that stood there stays, ms  [13] how young that key
--       must be for the entry to be marked as contested, ms
--       [14] hash of what the session's refresh tokens hold  [15] longest life of a
--       session in ms
--       Record and entry hold "epoch":-1, to be filled in. A sealed key begins with
--       the key's tag, 16 characters.
-- ANSWER {outcome, detail}
--   'opened'  detail is the record that stands under the code now: ours, followed by a
--             line break and the cached profile if there is one, or a faster caller's
--   'ask'     the standings are not complete: SQL must be asked first
--   'banned'  the user is shut out; nothing was opened
--   'blocked' the rules or a person block the user at present; nothing was opened
--   'alias'   detail is the user that this user id stands for; nothing was opened
local found = redis.call('GET', KEYS[1])
if found and string.sub(found, 1, 1) == 'r' then return {'opened', found} end
local standing = redis.call('HMGET', KEYS[7], 'epoch', 'banned', 'alias', 'action',
  'until')
if ARGV[11] ~= '1' and redis.call('EXISTS', KEYS[8]) == 0 then return {'ask', ''} end
if standing[3] then return {'alias', standing[3]} end
if standing[2] == '1' then return {'banned', ''} end
if standing[4] == 'block'
  and (standing[5] == '' or redis_now() < tonumber(standing[5])) then
  return {'blocked', ''}
end
local epoch = standing[1] or '0'
local record = string.gsub(ARGV[1], '"epoch":%-1', '"epoch":' .. epoch)
local entry = string.gsub(ARGV[10], '"epoch":%-1', '"epoch":' .. epoch)
local profile = redis.call('GET', KEYS[6])
if profile and profile ~= '-' then record = record .. '\n' .. profile end
redis.call('SET', KEYS[1], record, 'PX', ARGV[2])
redis.call('HSET', KEYS[2], 'user', ARGV[4], 'app', ARGV[5], 'generation', 1,
  'rotated', ARGV[6], 'created', ARGV[6], 'epoch', epoch, 'refresh', ARGV[14])
redis.call('PEXPIRE', KEYS[2], ARGV[7])
redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', ARGV[6] - ARGV[15])
redis.call('ZADD', KEYS[3], ARGV[6], ARGV[3])
redis.call('PEXPIRE', KEYS[3], ARGV[15])
local held = redis.call('GET', KEYS[4])
if held and string.sub(held, 1, 16) ~= string.sub(ARGV[8], 1, 16) then
  redis.call('SET', KEYS[9], held, 'PX', ARGV[12])
  if redis.call('PTTL', KEYS[4]) > ARGV[9] - ARGV[13] then
    -- Its exchange may have been the later one: WeChat knows, a task asks.
    entry = string.sub(entry, 1, -2) .. ',"contested":true}'
  end
end
redis.call('SET', KEYS[4], ARGV[8], 'PX', ARGV[9])
-- The list of sessions reads the device there until SQL has it.
redis.call('HSET', KEYS[2], 'entry', redis.call('XADD', KEYS[5], '*', 'e', entry))
return {'opened', record}
