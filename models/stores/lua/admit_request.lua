-- WITH buckets
-- Decide whether a request may pass: every token bucket, and its session, at once.
-- KEYS  [1] session (hash)  [2..] buckets
-- ARGV  [1] user whose session KEYS[1] must be, '' to ask for none
--       [2..] bursts and refills
-- ANSWER {refused, retry_ms, burst, remaining, reset_ms, state}
--   state  'live', 'revoked' (also for another user's), 'unknown', '' when not asked;
--          the rest as in buckets
local state = ''
if ARGV[1] ~= '' then
  local fields = redis.call('HMGET', KEYS[1], 'user', 'revoked')
  if not fields[1] then state = 'unknown'
  elseif fields[2] or fields[1] ~= ARGV[1] then state = 'revoked'
  else state = 'live' end
end
local refused, retry, burst, remaining, reset = take(2, 2)
return {refused, retry, burst, remaining, reset, state}
