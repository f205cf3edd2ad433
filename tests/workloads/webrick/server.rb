require "net/http"
require "webrick"

UPSTREAM = URI(ENV.fetch("UPSTREAM", "http://127.0.0.1:1"))
ONE_AT_A_TIME = Mutex.new

def fetch(path)
  Net::HTTP.get_response(URI.join(UPSTREAM, path)).code.to_i
end

# Two calls over one connection.
def seq(id)
  Net::HTTP.start(UPSTREAM.host, UPSTREAM.port) do |http|
    http.get("/leaf/#{id}/1")
    sleep 0.003
    http.get("/leaf/#{id}/2")
  end
end

def late(id)
  Net::HTTP.start(UPSTREAM.host, UPSTREAM.port, read_timeout: 0.05, max_retries: 0) do |http|
    http.get("/slow/#{id}/1")
  end
rescue Net::ReadTimeout
  nil # the answer goes on without it
end

def handle(verb, id)
  case verb
  when "work" then fetch("/leaf/#{id}/1") && sleep(0.003)
  when "seq" then seq(id)
  when "fan" then [1, 2, 3].map { |n| Thread.new { fetch("/leaf/#{id}/#{n}") } }.each(&:join)
  when "lock" then ONE_AT_A_TIME.synchronize { fetch("/leaf/#{id}/1") }
  when "retry" then fetch("/flaky/#{id}/1") == 503 && fetch("/flaky/#{id}/1")
  when "late" then late(id)
  when "after" then Thread.new { sleep(0.003) && fetch("/leaf/#{id}/1") }
  end
end

port = Integer(ENV.fetch("PORT", "8080"))
server = WEBrick::HTTPServer.new(
  BindAddress: "127.0.0.1",
  Port: port,
  AccessLog: [],
  Logger: WEBrick::Log.new($stderr, WEBrick::Log::WARN),
  StartCallback: -> { $stdout.puts("listening on #{port}") || $stdout.flush }
)
server.mount_proc "/" do |request, response|
  _, verb, id = request.path.split("/")
  handle(verb, id)
  response.body = "done\n"
end
trap("TERM") { server.shutdown }
server.start
