-- Let a lock or lease go if it is still ours.
-- KEYS  [1] lock
-- ARGV  [1] owner
-- ANSWER 1 when released, else 0
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
