module example.com/h2

go 1.25.0

require (
	golang.org/x/net v0.57.0
	golang.org/x/sync v0.22.0
)

require golang.org/x/text v0.40.0 // indirect
