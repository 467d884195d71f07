-- WITH clock
-- Rotate a session's refresh token; each repeat within its own grace gets the same
-- successor, also when that has been rotated since (models/rotation_trail.py).
-- KEYS  [1] session  [2] login journal  [3] standing of the user
--       [4] mark that standings and ends are complete
-- ARGV  [1] presented generation  [2] grace in ms, 0 for none  [3] session life in ms
--       [4] journal entry with '@generation@' and '@at@' to fill in
--       [5] hash of what the presented token holds  [6] how many earlier rotations
--       are kept
-- ANSWER {outcome, generation, at, unproven}
--   'rotated' and 'grace' carry the generation to hand out and when it was made
--   'reused' means after the grace: the session is revoked now
--   'revoked' (also by an epoch that is over), 'banned', 'forged' for another hash,
--   'blocked' while that is the user's action
--   'unknown' (no session here), 'behind' (an older one) and 'unsure' (its end may be
--   missing here): SQL must decide
--   unproven is 1 when no hash was here to compare with; it is now
-- Time is Redis' own.
local fields = redis.call('HMGET', KEYS[1], 'generation', 'rotated', 'revoked', 'epoch',
  'refresh', 'trail')
local standing = redis.call('HMGET', KEYS[3], 'epoch', 'banned', 'action', 'until')
local now = redis_now()
if not fields[3] and redis.call('EXISTS', KEYS[4]) == 0 then
  return {fields[1] and 'unsure' or 'unknown', 0, 0, 0}
end
if standing[2] == '1' then return {'banned', 0, 0, 0} end
if standing[3] == 'block' and (standing[4] == '' or now < tonumber(standing[4])) then
  return {'blocked', 0, 0, 0}
end
if fields[3] then return {'revoked', 0, 0, 0} end
if not fields[1] then return {'unknown', 0, 0, 0} end
if tonumber(standing[1] or '0') > tonumber(fields[4] or '0') then
  return {'revoked', 0, 0, 0}
end
local known = fields[5] and fields[5] ~= ''
if known and fields[5] ~= ARGV[5] then return {'forged', 0, 0, 0} end
local current, presented = tonumber(fields[1]), tonumber(ARGV[1])
if presented > current then return {'behind', 0, 0, 0} end
local function in_grace(at) return now - tonumber(at) < tonumber(ARGV[2]) end
local trail = (fields[6] or '') .. ' ' .. fields[1] .. ':' .. fields[2]
local unproven = 0
if not known then
  redis.call('HSET', KEYS[1], 'refresh', ARGV[5])
  unproven = 1
end
if presented == current then
  local entry = string.gsub(ARGV[4], '"@generation@"', tostring(current + 1))
  entry = string.gsub(entry, '"@at@"', string.format('%d', now))
  local kept = {}
  for made, at in string.gmatch(trail, '(%d+):(%d+)') do
    if in_grace(at) then kept[#kept + 1] = made .. ':' .. at end
  end
  while #kept > tonumber(ARGV[6]) do table.remove(kept, 1) end
  redis.call('HSET', KEYS[1], 'generation', current + 1,
    'rotated', string.format('%d', now), 'trail', table.concat(kept, ' '))
  redis.call('PEXPIRE', KEYS[1], ARGV[3])
  redis.call('XADD', KEYS[2], '*', 'e', entry)
  return {'rotated', current + 1, string.format('%d', now), unproven}
end
for made, at in string.gmatch(trail, '(%d+):(%d+)') do
  if tonumber(made) == presented + 1 and in_grace(at) then
    return {'grace', presented + 1, at, unproven}
  end
end
redis.call('HSET', KEYS[1], 'revoked', 'reused')
return {'reused', 0, 0, unproven}
