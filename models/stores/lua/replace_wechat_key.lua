-- Replace a user's WeChat key by what a reset gave, or forget it; the one before goes
-- too. Once a newer login has come, its key stays and the given one goes if it is the
-- one before.
-- KEYS  [1] sealed current key  [2] sealed previous key
-- ARGV  [1] tag of the key to go  [2] the new sealed key, empty to forget
-- ANSWER 1 when replaced, else 0
-- A value begins with its key's tag, 16 characters. The current key's end stays.
local value = redis.call('GET', KEYS[1])
if not value or string.sub(value, 1, 16) ~= ARGV[1] then
  local before = redis.call('GET', KEYS[2])
  if before and string.sub(before, 1, 16) == ARGV[1] then
    redis.call('DEL', KEYS[2])
  end
  return 0
end
if ARGV[2] == '' then
  redis.call('DEL', KEYS[1])
else
  redis.call('SET', KEYS[1], ARGV[2], 'KEEPTTL')
end
redis.call('DEL', KEYS[2])
return 1
