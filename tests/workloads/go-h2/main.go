package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/h2c"
)

func listen(address string) net.Listener {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		log.Fatal(err)
	}
	return listener
}

func main() {
	plain := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 32}}
	// Prior knowledge: one connection for all.
	shared := &http.Client{Transport: &http2.Transport{
		AllowHTTP: true,
		DialTLSContext: func(ctx context.Context, network, address string, _ *tls.Config) (net.Conn, error) {
			var dialer net.Dialer
			return dialer.DialContext(ctx, network, address)
		},
	}}
	inner := listen("127.0.0.1:0")
	handler := h2c.NewHandler(hop(over(plain, os.Getenv("UPSTREAM"))), &http2.Server{})
	go func() { log.Fatal(http.Serve(inner, handler)) }()
	fetch := over(shared, "http://"+inner.Addr().String())
	listener := listen("127.0.0.1:" + os.Getenv("PORT"))
	fmt.Printf("listening on %s\n", listener.Addr())
	log.Fatal(http.Serve(listener, front(fetch)))
}
