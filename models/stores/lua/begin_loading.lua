-- WITH instance
-- Begin to load standings and ends of sessions, beside other loaders that may be at it.
-- KEYS  [1] mark of the loaders  [2] when all that SQL knew was last here, ms
-- ARGV  [1] a new mark  [2] its life in seconds
-- ANSWER {mark, seen}
--   mark  what must stand there at the end: made by the first of the loaders since this
--         server was started or wiped
--   seen  that time, '' where nothing tells it: nothing is here
local instance = redis_instance()
local mark = redis.call('GET', KEYS[1])
if not mark or string.sub(mark, -#instance) ~= instance then
  mark = ARGV[1] .. instance
end
redis.call('SET', KEYS[1], mark, 'EX', ARGV[2])
return {mark, redis.call('GET', KEYS[2]) or ''}
