package main

import (
	"context"
	"crypto/tls"
	"log"
	"net"
	"net/http"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/h2c"
)

// h2cWay calls over HTTP/2 in the clear, by prior knowledge: one connection for all.
func h2cWay(onward fetcher) fetcher {
	shared := &http.Client{Transport: &http2.Transport{
		AllowHTTP: true,
		DialTLSContext: func(ctx context.Context, network, address string, _ *tls.Config) (net.Conn, error) {
			var dialer net.Dialer
			return dialer.DialContext(ctx, network, address)
		},
	}}
	inner := listen("127.0.0.1:0")
	handler := h2c.NewHandler(hop(onward), &http2.Server{})
	go func() { log.Fatal(http.Serve(inner, handler)) }()
	return over(shared, "http://"+inner.Addr().String())
}
