-- WITH clock
-- Leave a failed exchange for the callers that joined it, and count it.
-- KEYS  [1] code  [2] failures, stored as "count:milliseconds"
--       [3] lock of address and device  [4] note that the code may be used up
--       [5] who failed lately (sorted set)
-- ARGV  [1] flight mark of this caller  [2] record  [3] life of the record in ms
--       (0 = leave nothing: whoever joined tries by itself)
--       [4] failures that lock (0 = do not count)  [5] life of the lock in ms
--       [6] life of the note in ms (0 = do not note): then WeChat may have used the code
--       up without our hearing of it, and its refusal of it counts for nothing
--       [7] name of address and device  [8] names that are kept at most
-- ANSWER 1 when this failure locks, else 0
-- The count fades evenly, all of it within the life of a lock. It locks when less than
-- one failure has faded since the first; the lock ends by itself, then it begins anew.
if redis.call('GET', KEYS[1]) == ARGV[1] then
  if tonumber(ARGV[3]) > 0 then
    redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
  else
    redis.call('DEL', KEYS[1])
  end
end
if ARGV[6] ~= '0' then redis.call('SET', KEYS[4], '1', 'PX', ARGV[6]) end
local allowed, lock_ms = tonumber(ARGV[4]), tonumber(ARGV[5])
if allowed == 0 or redis.call('EXISTS', KEYS[4]) == 1 or redis.call('EXISTS', KEYS[3]) == 1 then return 0 end
local now, count, fades = redis_now(), 0, allowed / lock_ms
local stored = redis.call('GET', KEYS[2])
if stored then
  local before, at = string.match(stored, '([^:]+):([^:]+)')
  count = math.max(0, tonumber(before) - math.max(0, now - tonumber(at)) * fades)
end
redis.call('ZADD', KEYS[5], now, ARGV[7])
redis.call('PEXPIRE', KEYS[5], lock_ms)
local beyond = redis.call('ZCARD', KEYS[5]) - tonumber(ARGV[8])
if beyond > 0 then redis.call('ZREMRANGEBYRANK', KEYS[5], 0, beyond - 1) end
count = count + 1
if count > allowed - 1 then
  redis.call('SET', KEYS[3], '1', 'PX', lock_ms)
  redis.call('DEL', KEYS[2])
  return 1
end
redis.call('SET', KEYS[2], string.format('%.6f:%d', count, now),
  'PX', math.ceil(count / fades))
return 0
