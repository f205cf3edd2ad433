// TLS by Go's crypto/tls: `serve ADDRESS PROTOCOL` answers one byte to one, `call ADDRESS PROTOCOL`
// asks so whoever that is, `verify ADDRESS PROTOCOL` only whom it trusts. Certificate and key are in the working directory.
package main

import (
	"crypto/tls"
	"fmt"
	"os"
)

func serve(address string, protocol string) error {
	certificate, err := tls.LoadX509KeyPair("cert.pem", "key.pem")
	if err != nil {
		return err
	}
	listener, err := tls.Listen("tcp", address, &tls.Config{
		Certificates: []tls.Certificate{certificate},
		NextProtos:   []string{protocol},
	})
	if err != nil {
		return err
	}
	for {
		connection, err := listener.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer connection.Close()
			one := make([]byte, 1)
			if _, err := connection.Read(one); err == nil {
				_, _ = connection.Write(one)
			}
		}()
	}
}

func call(address string, protocol string) error { return ask(address, protocol, true) }

func verify(address string, protocol string) error { return ask(address, protocol, false) }

func ask(address string, protocol string, anybody bool) error {
	connection, err := tls.Dial("tcp", address, &tls.Config{
		InsecureSkipVerify: anybody,
		ServerName:         "localhost",
		NextProtos:         []string{protocol},
	})
	if err != nil {
		return err
	}
	defer connection.Close()
	if _, err := connection.Write([]byte("x")); err != nil {
		return err
	}
	_, err = connection.Read(make([]byte, 1))
	return err
}

func main() {
	commands := map[string]func(string, string) error{"serve": serve, "call": call, "verify": verify}
	if err := commands[os.Args[1]](os.Args[2], os.Args[3]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
