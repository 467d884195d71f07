-- WITH instance
-- Ask whether what stands here about standings and ended sessions can be believed. A
-- mark that another server wrote came here in a file or from a master: what was told
-- to that server last may be missing, so the mark goes.
-- KEYS  [1] mark of completeness  [2] when all that SQL knew was last here, ms
-- ARGV  [1] that time to note if all is here now, '' to note none
-- ANSWER 1 when all is here, 0 when SQL must be asked until a loader has loaded
local mark = redis.call('GET', KEYS[1])
if not mark then return 0 end
local instance = redis_instance()
if mark ~= instance or instance == '' then
  redis.call('DEL', KEYS[1])
  -- A copy that does not tell its age: all must be told again.
  redis.call('SET', KEYS[2], 0, 'NX')
  return 0
end
if ARGV[1] ~= '' then redis.call('SET', KEYS[2], ARGV[1]) end
return 1
