# client.rb URL COUNT CONCURRENCY MARK: by Net::HTTP, a kept connection a thread.
require 'net/http'

url, count, many, mark = ARGV
verbs = ['items', 'items', 'missing', 'broken', ENV['CALLS'].to_s.empty? ? 'items' : 'call']
uri = URI(url)
options = { use_ssl: uri.scheme == 'https', ca_file: "#{ENV.fetch('CERTIFICATES')}/ca.pem" }
numbers = Queue.new
Integer(count).times { |number| numbers << number }
numbers.close

puts 'ready'
$stdout.flush
sleep 0.02 until File.exist?(ENV.fetch('GO'))
threads = Array.new(Integer(many)) do
  Thread.new do
    Net::HTTP.start(uri.host, uri.port, **options) do |http|
      while (number = numbers.pop)
        path = "/#{verbs[number % 5]}/#{mark}n#{number}"
        number % 5 == 1 ? http.post(path, 'name=new') : http.get(path)
      end
    end
  end
end
threads.each(&:join)
puts 'sent'
