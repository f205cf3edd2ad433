package main

import (
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
)

// A way to call oneself: starts the server that passes calls on by onward, and answers how to ask it.
type way func(onward fetcher) fetcher

var ways = map[string]way{
	"tls":          func(onward fetcher) fetcher { return tlsWay(onward, false) },
	"tls-h2":       func(onward fetcher) fetcher { return tlsWay(onward, true) },
	"h2c":          h2cWay,
	"grpc":         func(onward fetcher) fetcher { return grpcWay(onward, "") },
	"grpc-tls":     func(onward fetcher) fetcher { return grpcWay(onward, "tls") },
	"grpc-workers": func(onward fetcher) fetcher { return grpcWay(onward, "workers") },
}

func listen(address string) net.Listener {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		log.Fatal(err)
	}
	return listener
}

func main() {
	own, known := ways[os.Getenv("STYLE")]
	if !known {
		log.Fatalf("no such STYLE: %q", os.Getenv("STYLE"))
	}
	plain := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 32}}
	fetch := own(over(plain, os.Getenv("UPSTREAM")))
	listener := listen("127.0.0.1:" + os.Getenv("PORT"))
	fmt.Printf("listening on %s\n", listener.Addr())
	log.Fatal(http.Serve(listener, front(fetch)))
}
