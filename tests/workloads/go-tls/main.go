package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log"
	"math/big"
	"net"
	"net/http"
	"os"
	"time"
)

// certificate makes one for this host, and those who trust it.
func certificate() (tls.Certificate, *x509.CertPool) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		log.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		NotAfter:              time.Now().Add(24 * time.Hour),
		IPAddresses:           []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA:                  true,
		BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		log.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		log.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(parsed)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}

func listen(address string) net.Listener {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		log.Fatal(err)
	}
	return listener
}

func main() {
	plain := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 32}}
	own, trusted := certificate()
	transport := &http.Transport{MaxIdleConnsPerHost: 32, TLSClientConfig: &tls.Config{RootCAs: trusted}}
	server := &http.Server{
		Handler:   hop(over(plain, os.Getenv("UPSTREAM"))),
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{own}},
	}
	if os.Getenv("STYLE") == "h2" {
		transport.ForceAttemptHTTP2 = true
	} else {
		server.TLSNextProto = map[string]func(*http.Server, *tls.Conn, http.Handler){}
	}
	inner := listen("127.0.0.1:0")
	go func() { log.Fatal(server.ServeTLS(inner, "", "")) }()
	fetch := over(&http.Client{Transport: transport}, "https://"+inner.Addr().String())
	listener := listen("127.0.0.1:" + os.Getenv("PORT"))
	fmt.Printf("listening on %s\n", listener.Addr())
	log.Fatal(http.Serve(listener, front(fetch)))
}
