-- WITH buckets
-- Decide whether a request may pass: every token bucket, its session, and how we
-- stand to its user, at once.
-- KEYS  [1] session (hash)  [2] standing of the user (hash)  [3..] buckets
-- ARGV  [1] user whose session KEYS[1] must be, '' to ask for none
--       [2] epoch of the token  [3..] bursts and refills
-- ANSWER {refused, retry_ms, burst, remaining, reset_ms, state, action}
--   state   'live', 'banned', 'revoked' (also for another user's, and for an epoch
--           that is over), 'unknown', '' when not asked
--   action  what the rules allow this user: '' all, 'slow', 'verify' or 'block'
--   the rest as in buckets
local state, action = '', ''
if ARGV[1] ~= '' then
  local fields = redis.call('HMGET', KEYS[1], 'user', 'revoked', 'epoch')
  local standing = redis.call('HMGET', KEYS[2], 'epoch', 'banned', 'action', 'until')
  local epoch = tonumber(ARGV[2])
  if standing[2] == '1' then state = 'banned'
  elseif not fields[1] then state = 'unknown'
  elseif fields[2] or fields[1] ~= ARGV[1] or tonumber(fields[3] or '0') ~= epoch
    or tonumber(standing[1] or '0') > epoch then state = 'revoked'
  else state = 'live' end
  action = standing[3] or ''
  if action ~= '' and standing[4] ~= '' and redis_now() >= tonumber(standing[4]) then
    action = ''
  end
end
local refused, retry, burst, remaining, reset = take(3, 3)
return {refused, retry, burst, remaining, reset, state, action}
