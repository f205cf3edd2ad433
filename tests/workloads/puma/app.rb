require "net/http"
require "sinatra"

UPSTREAM = URI(ENV.fetch("UPSTREAM", "http://127.0.0.1:1"))
ONE_AT_A_TIME = Mutex.new

configure do
  set :environment, :production
  set :logging, false
  set :dump_errors, true
  set :protection, false
end

# A kept connection for each thread.
def fetch(path)
  http = Thread.current.thread_variable_get(:http)
  unless http
    http = Net::HTTP.new(UPSTREAM.host, UPSTREAM.port).start
    Thread.current.thread_variable_set(:http, http)
  end
  http.get(path).code.to_i
end

get "/work/:id" do |id|
  fetch("/leaf/#{id}/1")
  sleep 0.003
  "done\n"
end

get "/seq/:id" do |id|
  fetch("/leaf/#{id}/1")
  sleep 0.003
  fetch("/leaf/#{id}/2")
  "done\n"
end

get "/fan/:id" do |id|
  steps = [1, 2, 3].map do |step|
    Thread.new { Net::HTTP.get_response(URI.join(UPSTREAM, "/leaf/#{id}/#{step}")) }
  end
  steps.each(&:join)
  "done\n"
end

get "/lock/:id" do |id|
  ONE_AT_A_TIME.synchronize { fetch("/leaf/#{id}/1") }
  "done\n"
end

get "/retry/:id" do |id|
  fetch("/flaky/#{id}/1") if fetch("/flaky/#{id}/1") == 503
  "done\n"
end

get "/after/:id" do |id|
  Thread.new do
    sleep 0.003
    Net::HTTP.get_response(URI.join(UPSTREAM, "/leaf/#{id}/1"))
  end
  "done\n"
end

get "/late/:id" do |id|
  begin
    Net::HTTP.start(UPSTREAM.host, UPSTREAM.port, read_timeout: 0.05, max_retries: 0) do |http|
      http.get("/slow/#{id}/1")
    end
  rescue Net::ReadTimeout
    # the answer goes on without it
  end
  "done\n"
end
