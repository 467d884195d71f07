-- Store a loaded value if this loader still holds the lease: a write that happened
-- meanwhile has taken it away, and the value is old.
-- KEYS  [1] value  [2] lease
-- ARGV  [1] lease mark of this loader  [2] value  [3] life in ms
-- ANSWER 1 when stored, else 0
if redis.call('GET', KEYS[2]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
redis.call('DEL', KEYS[2])
return 1
