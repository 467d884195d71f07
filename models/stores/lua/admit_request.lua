-- WITH clock refusals buckets behaviour
-- Decide whether a request may pass: every token bucket, its session, and how we
-- stand to its user, at once; and note what the user and the device do.
-- KEYS  [1] session (hash)  [2] standing of the user (hash)
--       [3] tally, [4] lines and [5] shares of the refused (refusals.lua)
--       [6] figures of the user  [7] figures of the device
--       [8] the busy ones (sorted set)  [9] mark that standings and ends are complete
--       [10..] buckets
-- ARGV  [1] user whose session KEYS[1] must be, '' to ask for none
--       [2] epoch of the token
--       [3] rules of the refusals  [4] what they say of this request
--       [5] number of the user's own bucket (0 = none)  [6] its share when slowed
--       [7] window of the figures in ms, 0 to keep none  [8] requests that are busy
--       [9] busy ones at most  [10] mark of the route
--       [11] '1' when the rhythm of this route is the client's own choice
--       [12] answers not found since the last request  [13] device id
--       [14] mark of the user  [15] mark of the device, 0 = not told
--       [16] app of the token  [17..] bursts and refills
-- ANSWER {refused, retry_ms, burst, remaining, reset_ms, state, action}
--   state   'live', 'banned', 'revoked' (also for another user's or app's, and for an
--           epoch that is over), 'unknown', 'unsure' while ends may be missing here,
--           '' when not asked
--   action  what the rules allow this user: '' all, 'slow', 'verify' or 'block'
--   the rest as in buckets
local now, state, action = redis_now(), '', ''
if ARGV[1] ~= '' then
  local fields = redis.call('HMGET', KEYS[1], 'user', 'revoked', 'epoch', 'app')
  local standing = redis.call('HMGET', KEYS[2], 'epoch', 'banned', 'action', 'until')
  local epoch = tonumber(ARGV[2])
  if not fields[2] and redis.call('EXISTS', KEYS[9]) == 0 then
    state = fields[1] and 'unsure' or 'unknown'
  elseif standing[2] == '1' then state = 'banned'
  elseif not fields[1] then state = 'unknown'
  elseif fields[2] or fields[1] ~= ARGV[1] or fields[4] ~= ARGV[16]
    or tonumber(fields[3] or '0') ~= epoch
    or tonumber(standing[1] or '0') > epoch then state = 'revoked'
  else state = 'live' end
  action = standing[3] or ''
  if action ~= '' and standing[4] ~= '' and now >= tonumber(standing[4]) then
    action = ''
  end
end
if state == 'live' and ARGV[7] ~= '0' then
  local seen = {
    now = now, window = tonumber(ARGV[7]), busy = tonumber(ARGV[8]),
    route = tonumber(ARGV[10]), rhythm = ARGV[11] == '1', misses = tonumber(ARGV[12]),
  }
  local device, most = tonumber(ARGV[15]), tonumber(ARGV[9])
  local rows = redis.call('MGET', KEYS[6], KEYS[7])
  local same, keep = note(KEYS[6], rows[1], device, seen)
  if keep then keep_busy(KEYS[8], 'user:' .. ARGV[1], most, seen) end
  -- Whoever names another device at each request makes hops, and no further keys.
  if same and device ~= 0 then
    local _
    _, keep = note(KEYS[7], rows[2], tonumber(ARGV[14]), seen)
    if keep then keep_busy(KEYS[8], 'device:' .. ARGV[13], most, seen) end
  end
end
local refused, retry, burst, remaining, reset = take(10, 17, {
  now = now, shrunk = action == 'slow' and tonumber(ARGV[5]) or 0,
  share = tonumber(ARGV[6]), book = {
    tally = KEYS[3], lines = KEYS[4], shares = KEYS[5],
    rules = ARGV[3], about = ARGV[4],
  },
})
return {refused, retry, burst, remaining, reset, state, action}
