require_relative "app"

# Puma's own line begins with a capital
puts "listening on #{ENV["PORT"]}"
$stdout.flush

run Sinatra::Application
