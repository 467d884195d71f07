-- Leave a failed exchange for the callers that joined it, and count it.
-- KEYS  [1] code  [2] failures counter
-- ARGV  [1] flight mark of this caller  [2] record  [3] life of the record in ms
--       (0 = leave nothing: whoever joined tries by itself)
--       [4] life of the count in ms (0 = do not count)
-- ANSWER the count
if redis.call('GET', KEYS[1]) == ARGV[1] then
  if tonumber(ARGV[3]) > 0 then
    redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
  else
    redis.call('DEL', KEYS[1])
  end
end
if tonumber(ARGV[4]) == 0 then return 0 end
local count = redis.call('INCR', KEYS[2])
redis.call('PEXPIRE', KEYS[2], ARGV[4])
return count
