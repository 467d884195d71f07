-- Become the only refresher of an access token, with a fence above all before it.
-- KEYS  [1] lease  [2] fence counter
-- ARGV  [1] life of the lease in ms
-- ANSWER the fence, or nil while another refresher holds the lease
if redis.call('EXISTS', KEYS[1]) == 1 then return nil end
local fence = redis.call('INCR', KEYS[2])
redis.call('SET', KEYS[1], fence, 'PX', ARGV[1])
return fence
