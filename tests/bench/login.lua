-- Purpose: POST /api/v1/auth/login, each request with a fresh code.
-- Arguments: 1 = file with one code a line (codes are single-use, so wrk stops
--            sending real ones when the file ends and the refusals are counted).
--            2 = first line to take, so that repetitions never share a code.
-- Each user keeps to one phone, as people do; the codes' users take turns.
local USERS = 2000
local codes, devices, at = {}, {}, 0

function init(args)
  local first = tonumber(args[2] or "1")
  local number = 0
  for line in io.lines(args[1]) do
    number = number + 1
    if number >= first then
      codes[#codes + 1] = line
      devices[#devices + 1] = "bench-" .. (number % USERS)
    end
  end
  wrk.method = "POST"
  wrk.headers["Content-Type"] = "application/json"
end

function request()
  at = at + 1
  local code = codes[at] or "no-code-left"
  local device = devices[at] or "bench-0"
  local body = '{"code":"' .. code .. '","device":{"id":"' .. device
    .. '","model":"bench","platform":"devtools"}}'
  return wrk.format(nil, nil, nil, body)
end
