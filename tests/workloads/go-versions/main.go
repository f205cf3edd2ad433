package main

import (
	"crypto/tls"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
)

func listen(address string) net.Listener {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		log.Fatal(err)
	}
	return listener
}

// itself starts the server that passes calls on by onward, and answers how to ask it: over HTTP/1 in
// the clear, or over TLS by HTTP/1 or HTTP/2.
func itself(onward fetcher, style string) fetcher {
	server := &http.Server{Handler: hop(onward)}
	transport := &http.Transport{MaxIdleConnsPerHost: 64}
	inner := listen("127.0.0.1:0")
	if style == "" {
		go func() { log.Fatal(server.Serve(inner)) }()
		return over(&http.Client{Transport: transport}, "http://"+inner.Addr().String())
	}
	own, trusted := certificate()
	server.TLSConfig = &tls.Config{Certificates: []tls.Certificate{own}}
	transport.TLSClientConfig = &tls.Config{RootCAs: trusted}
	if style == "h2" {
		transport.ForceAttemptHTTP2 = true
	} else {
		server.TLSNextProto = map[string]func(*http.Server, *tls.Conn, http.Handler){}
	}
	go func() { log.Fatal(server.ServeTLS(inner, "", "")) }()
	return over(&http.Client{Transport: transport}, "https://"+inner.Addr().String())
}

func main() {
	plain := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	fetch := itself(over(plain, os.Getenv("UPSTREAM")), os.Getenv("STYLE"))
	listener := listen("127.0.0.1:" + os.Getenv("PORT"))
	fmt.Printf("listening on %s\n", listener.Addr())
	log.Fatal(http.Serve(listener, front(fetch)))
}
