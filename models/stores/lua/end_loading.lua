-- WITH instance
-- Say that all standings and ends are here, unless Redis forgot some while they were
-- loaded: it was wiped, or is another server by now, started from a copy of this one.
-- KEYS  [1] mark of the loaders  [2] mark of completeness
--       [3] when all that SQL knew was last here, ms
-- ARGV  [1] the mark as it was at the beginning  [2] when that was, ms
-- ANSWER 1 when complete, 0 when it must be looked at again
local instance = redis_instance()
if instance == '' or string.sub(ARGV[1], -#instance) ~= instance then return 0 end
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[2], instance)
redis.call('SET', KEYS[3], ARGV[2])
redis.call('DEL', KEYS[1])
return 1
