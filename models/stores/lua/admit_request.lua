-- WITH buckets
-- Decide whether a request may pass: every token bucket, and its session, at once.
-- KEYS  [1] session (hash)  [2..] buckets
-- ARGV  [1] 'session' to look at KEYS[1], else ''  [2..] bursts and refills
-- ANSWER {refused, retry_ms, burst, remaining, reset_ms, state}
--   state  'live', 'revoked', 'unknown', or '' when not asked; the rest as in buckets
local state = ''
if ARGV[1] == 'session' then
  local fields = redis.call('HMGET', KEYS[1], 'user', 'revoked')
  if not fields[1] then state = 'unknown'
  elseif fields[2] then state = 'revoked'
  else state = 'live' end
end
local refused, retry, burst, remaining, reset = take(2, 2)
return {refused, retry, burst, remaining, reset, state}
