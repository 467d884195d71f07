-- Take a lock that ends by itself, with a fence above all fences it had before.
-- KEYS  [1] lock  [2] last fence
-- ARGV  [1] life of the lock in ms  [2] life of the memory of its fence in ms
-- ANSWER the fence, or nil while somebody else holds the lock
-- A fence is the time in microseconds, or one more than the last where the clock does
-- not say more: it goes on rising when the memory is wiped, and when the clock is set
-- back, unless both happen.
if redis.call('EXISTS', KEYS[1]) == 1 then return nil end
local time = redis.call('TIME')
local last = tonumber(redis.call('GET', KEYS[2]) or '0')
local fence = string.format('%.0f', math.max(last + 1, time[1] * 1000000 + time[2]))
redis.call('SET', KEYS[2], fence, 'PX', ARGV[2])
redis.call('SET', KEYS[1], fence, 'PX', ARGV[1])
return fence
