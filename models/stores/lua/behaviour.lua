-- Figures of behaviour, put before the scripts that begin with `-- WITH … behaviour`.
-- KEYS  given to note(): one subject's figures, a packed row of numbers
-- ARGV  read by the script that calls it
-- ANSWER of note(key, now, seen): requests in the window, and whether the partner
--        is the one of the request before
--   The row: when (double), then as floats: requests, gaps, their sum and squares in
--   seconds, answers not found, hops, the partner's mark, requests by 8 slots of routes.
--   Every figure fades by e in each window, so the row is a sliding window that needs
--   no list. A gap longer than a tenth of it is a pause and no rhythm.
--   seen: window (ms), slot (1-8), rhythm (boolean), misses, partner (0 = not known)
local ROW = '<dfffffffffffffff'

local function note(key, now, seen)
  local row = {now, 0, 0, 0, 0, 0, 0, seen.partner, 0, 0, 0, 0, 0, 0, 0, 0}
  local stored = redis.call('GET', key)
  if stored then
    row = {struct.unpack(ROW, stored)}
    local gap = math.max(0, now - row[1])
    local fade = math.exp(-gap / seen.window)
    for i = 2, 16 do
      if i ~= 8 then row[i] = row[i] * fade end
    end
    if seen.rhythm and gap <= seen.window / 10 then
      local seconds = gap / 1000
      row[3], row[4], row[5] = row[3] + 1, row[4] + seconds, row[5] + seconds * seconds
    end
  end
  local same = seen.partner == row[8]
  if not same and seen.partner ~= 0 then
    if row[8] ~= 0 then row[7] = row[7] + 1 end
    row[8] = seen.partner
  end
  row[1], row[2], row[6] = now, row[2] + 1, row[6] + seen.misses
  row[8 + seen.slot] = row[8 + seen.slot] + 1
  -- After three windows without a request a twentieth is left, which says nothing.
  redis.call('SET', key, struct.pack(ROW, unpack(row)), 'PX', 3 * seen.window)
  return row[2], same
end

-- Keep a busy subject for the next look; the oldest go when there are too many.
local function keep_busy(key, name, now, seen)
  if redis.call('ZADD', key, now, name) == 0 then return end
  redis.call('PEXPIRE', key, 3 * seen.window)
  local beyond = redis.call('ZCARD', key) - seen.most
  if beyond > 0 then redis.call('ZREMRANGEBYRANK', key, 0, beyond - 1) end
end

