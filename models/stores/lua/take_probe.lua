-- WITH clock
-- Become the one process that probes a shut path.
-- KEYS  [1] shut paths
-- ARGV  [1] path  [2] milliseconds the place is held  [3] life of the record in ms
-- ANSWER 0 = ours, else the milliseconds until the place is free; nil when not shut
local due = redis.call('HGET', KEYS[1], ARGV[1])
if not due then return nil end
local now = redis_now()
local wait = due - now
if wait > 0 then return wait end
redis.call('HSET', KEYS[1], ARGV[1], string.format('%d', now + ARGV[2]))
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 0
