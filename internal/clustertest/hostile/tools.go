package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/askback/askback/internal/cluster/natscluster"
)

// tool does one of:
//
//	publish SUBJECT           prints "denied" or "done"
//	listen SUBJECT            prints "denied" or "done"
//	ask SUBJECT               asks what is on standard input, prints the answer's error code, its text and its body
//	replace SHA FILE          replaces an artefact in the object store
//	certificate HOST:PORT     prints the serial number of a server's certificate
//	search DIR …              prints which files that can be read hold a line of standard input
func tool() error {
	args := flag.Args()
	if len(args) < 2 {
		return errors.New("want a tool and its argument")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	switch args[0] {
	case "certificate":
		return certificate(args[1])
	case "search":
		return search(args[1:])
	}
	s, err := connect(&natscluster.Connection{Servers: *server, Creds: *creds, CA: *ca})
	if err != nil {
		return err
	}
	defer s.Close()
	switch args[0] {
	case "publish":
		fmt.Println(s.publish(args[1], "{}").Result)
	case "listen":
		fmt.Println(s.listen(args[1]).Result)
	case "ask":
		return ask(s, args[1])
	case "replace":
		return replace(ctx, s, args[1], args[2])
	default:
		return fmt.Errorf("there is no tool %s", args[0])
	}
	return nil
}

func ask(s *sneak, subject string) error {
	question, err := io.ReadAll(os.Stdin)
	if err != nil {
		return err
	}
	m, err := s.Request(subject, question, 5*time.Second)
	if err != nil {
		return err
	}
	fmt.Printf("%s\n%s\n%s\n", m.Header.Get("Nats-Service-Error-Code"), m.Header.Get("Nats-Service-Error"), m.Data)
	return nil
}

func replace(ctx context.Context, s *sneak, sha, path string) error {
	js, err := jetstream.New(s.Conn)
	if err != nil {
		return err
	}
	store, err := js.ObjectStore(ctx, natscluster.Subjects(natscluster.DefaultPrefix).Artefacts())
	if err != nil {
		return err
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	_, err = store.Put(ctx, jetstream.ObjectMeta{Name: sha}, f)
	return err
}

// certificate shows what a NATS server presents: it sends a line before it speaks TLS.
func certificate(address string) error {
	conn, err := net.DialTimeout("tcp", address, 5*time.Second)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	for b := make([]byte, 1); b[0] != '\n'; {
		if _, err := conn.Read(b); err != nil {
			return err
		}
	}
	c := tls.Client(conn, &tls.Config{InsecureSkipVerify: true}) // it is only looked at
	if err := c.Handshake(); err != nil {
		return err
	}
	fmt.Println(c.ConnectionState().PeerCertificates[0].SerialNumber)
	return nil
}

// search looks through files, and through what there is to see of all processes.
func search(dirs []string) error {
	text, err := io.ReadAll(os.Stdin)
	if err != nil {
		return err
	}
	secrets := bytes.Fields(text)
	look := func(path string) {
		content, err := os.ReadFile(path)
		if err != nil {
			return
		}
		for _, s := range secrets {
			if bytes.Contains(content, s) {
				fmt.Println(path)
				return
			}
		}
	}
	for _, dir := range dirs {
		_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.Type().IsRegular() && !strings.HasPrefix(path, "/proc/") {
				look(path)
			}
			return nil
		})
	}
	for _, file := range []string{"cmdline", "environ"} {
		found, _ := filepath.Glob("/proc/[0-9]*/" + file)
		for _, path := range found {
			look(path)
		}
	}
	return nil
}
