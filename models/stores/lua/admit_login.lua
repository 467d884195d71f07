-- WITH buckets
-- Decide about a login: lock-out, every token bucket, and who exchanges the code.
-- KEYS  [1] failures counter  [2] code  [3..] buckets
-- ARGV  [1] failures allowed (0 = no lock-out)  [2] flight mark of this caller
--       [3] life of a flight in ms  [4..] bursts and refills
-- ANSWER {verdict, detail, retry_ms}
--   'lead'    this caller exchanges the code
--   'join'    another caller is doing it: wait for the record
--   'known'   detail is the record that an earlier exchange left
--   'limited' detail is the number of the bucket that refused (1 = KEYS[3])
--   'locked'  too many failures
local failures = tonumber(ARGV[1])
if failures > 0 and tonumber(redis.call('GET', KEYS[1]) or '0') >= failures then
  return {'locked', '', redis.call('PTTL', KEYS[1])}
end
local refused, retry = take(3, 4)
if refused > 0 then
  return {'limited', refused, retry}
end
if redis.call('SET', KEYS[2], ARGV[2], 'NX', 'PX', ARGV[3]) then
  return {'lead', '', 0}
end
local found = redis.call('GET', KEYS[2])
if string.sub(found, 1, 1) == 'f' then
  return {'join', '', 0}
end
return {'known', found, 0}
