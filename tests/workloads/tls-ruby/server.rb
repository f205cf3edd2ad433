# A shop by WEBrick with TLS, a thread a connection; it asks its stock by Net::HTTP.
require 'net/http'
require 'webrick'
require 'webrick/https'

certificates = ENV.fetch('CERTIFICATES')
port = Integer(ENV.fetch('PORT'))
UPSTREAM = ENV['UPSTREAM'].to_s.empty? ? nil : URI(ENV['UPSTREAM'])

def stock(path, certificates)
  options = { use_ssl: true, ca_file: "#{certificates}/ca.pem" }
  Net::HTTP.start(UPSTREAM.host, UPSTREAM.port, **options) { |http| http.get(path) }
end

server = WEBrick::HTTPServer.new(
  BindAddress: '127.0.0.1',
  Port: port,
  SSLEnable: true,
  SSLCertificate: OpenSSL::X509::Certificate.new(File.read("#{certificates}/cert.pem")),
  SSLPrivateKey: OpenSSL::PKey.read(File.read("#{certificates}/key.pem")),
  MaxClients: 200,
  AccessLog: [],
  Logger: WEBrick::Log.new($stderr, WEBrick::Log::WARN),
  StartCallback: -> { puts "listening on #{port}"; $stdout.flush }
)
server.mount_proc('/') do |request, response|
  _, verb, number = request.path.split('/')
  stock("/items/#{number}", certificates) if verb == 'call'
  response.status = { 'items' => 200, 'call' => 200, 'missing' => 404 }.fetch(verb, 500)
  response.status = 201 if request.request_method == 'POST'
  response.body = "an item\n"
end
trap('TERM') { server.shutdown }
server.start
