package main

import (
	"context"
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
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"
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

// passOn serves every method of the service `hop`: each request has one of its own.
func passOn(fetch fetcher) grpc.StreamHandler {
	return func(_ any, stream grpc.ServerStream) error {
		method, _ := grpc.MethodFromServerStream(stream)
		if err := stream.RecvMsg(&emptypb.Empty{}); err != nil {
			return err
		}
		id := strings.TrimPrefix(method, "/hop/")
		step := metadata.ValueFromIncomingContext(stream.Context(), "step")
		path := fmt.Sprintf("/leaf/%s/%s", id, strings.Join(step, ""))
		if answer, err := fetch(stream.Context(), path); err != nil || answer != http.StatusOK {
			return status.Errorf(codes.Unavailable, "upstream: %d %v", answer, err)
		}
		return stream.SendMsg(&emptypb.Empty{})
	}
}

// called makes a call for the path `/hop/ID/STEP`: of the method `hop/ID`, with the step beside it.
func called(conn *grpc.ClientConn) fetcher {
	return func(ctx context.Context, path string) (int, error) {
		method, step, _ := strings.Cut(strings.TrimPrefix(path, "/hop/"), "/")
		ctx = metadata.AppendToOutgoingContext(ctx, "step", step)
		err := conn.Invoke(ctx, "/hop/"+method, &emptypb.Empty{}, &emptypb.Empty{})
		return http.StatusOK, err
	}
}

func main() {
	plain := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 32}}
	options := []grpc.ServerOption{grpc.UnknownServiceHandler(passOn(over(plain, os.Getenv("UPSTREAM"))))}
	client := insecure.NewCredentials()
	switch os.Getenv("STYLE") {
	case "tls":
		own, trusted := certificate()
		options = append(options, grpc.Creds(credentials.NewServerTLSFromCert(&own)))
		client = credentials.NewTLS(&tls.Config{RootCAs: trusted})
	case "workers":
		options = append(options, grpc.NumStreamWorkers(8))
	}
	inner := listen("127.0.0.1:0")
	server := grpc.NewServer(options...)
	go func() { log.Fatal(server.Serve(inner)) }()
	conn, err := grpc.NewClient(inner.Addr().String(), grpc.WithTransportCredentials(client))
	if err != nil {
		log.Fatal(err)
	}
	listener := listen("127.0.0.1:" + os.Getenv("PORT"))
	fmt.Printf("listening on %s\n", listener.Addr())
	log.Fatal(http.Serve(listener, front(called(conn))))
}
