-- Make a user's previous WeChat key the current one: two logins were opened in another
-- order than WeChat made their keys. Nothing happens once a newer login has come.
-- KEYS  [1] sealed current key  [2] sealed previous key
-- ARGV  [1] tag of the current key  [2] tag of the previous key
--       [3] how long the displaced key stays, ms
-- ANSWER 1 when swapped, else 0
-- A value begins with its key's tag, 16 characters. The current key's end stays.
local values = redis.call('MGET', KEYS[1], KEYS[2])
if not values[1] or string.sub(values[1], 1, 16) ~= ARGV[1] then return 0 end
if not values[2] or string.sub(values[2], 1, 16) ~= ARGV[2] then return 0 end
redis.call('SET', KEYS[1], values[2], 'KEEPTTL')
redis.call('SET', KEYS[2], values[1], 'PX', ARGV[3])
return 1
