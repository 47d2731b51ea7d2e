// SPDX-License-Identifier: Apache-2.0

// A static program with a runtime that asks no libc: HTTP with connections that stay open, DNS by Go's own resolver,
// UDP with connect() and without. usage: client ADDRESS. Prints one JSON object: what each way of going out gave.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"time"
)

const (
	requests = 200
	workers  = 8
	patience = 5 * time.Second
)

type report struct {
	Answers     map[string]int `json:"answers"` // what /source said, how often
	Resolved    []string       `json:"resolved"`
	Echoed      string         `json:"echoed"`
	Unconnected string         `json:"unconnected"` // what came back, or the error
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "client:", err)
	os.Exit(1)
}

func get(client *http.Client, url string) (string, error) {
	response, err := client.Get(url)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = errors.New(response.Status)
	}
	return string(body), err
}

func getMany(url string) map[string]int {
	answers := map[string]int{}
	var lock sync.Mutex
	var group sync.WaitGroup
	client := &http.Client{Timeout: patience, Transport: &http.Transport{MaxIdleConnsPerHost: workers}}
	for i := 0; i < workers; i++ {
		group.Add(1)
		go func() {
			defer group.Done()
			for n := 0; n < requests/workers; n++ {
				body, err := get(client, url)
				if err != nil {
					fail(err)
				}
				lock.Lock()
				answers[body]++
				lock.Unlock()
			}
		}()
	}
	group.Wait()
	return answers
}

func resolve(server string) []string {
	resolver := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, net.JoinHostPort(server, "53"))
	}}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	addresses, err := resolver.LookupIP(ctx, "ip4", "www.example.com")
	if err != nil {
		fail(err)
	}
	var names []string
	for _, address := range addresses {
		names = append(names, address.String())
	}
	return names
}

func echo(server string) string {
	conn, err := net.Dial("udp4", net.JoinHostPort(server, "7"))
	if err != nil {
		fail(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(patience))
	if _, err = conn.Write([]byte("hello")); err != nil {
		fail(err)
	}
	answer := make([]byte, 64)
	size, err := conn.Read(answer)
	if err != nil {
		fail(err)
	}
	return string(answer[:size])
}

func sendUnconnected(server string) string {
	conn, err := net.ListenPacket("udp", "")
	if err != nil {
		fail(err)
	}
	defer conn.Close()
	_, err = conn.WriteTo([]byte("hello"), &net.UDPAddr{IP: net.ParseIP(server), Port: 7})
	if err != nil {
		return err.Error()
	}
	answer := make([]byte, 16)
	_ = conn.SetReadDeadline(time.Now().Add(patience))
	size, _, err := conn.ReadFrom(answer)
	if err != nil {
		return err.Error()
	}
	return string(answer[:size])
}

func main() {
	server := os.Args[1]
	out := report{getMany("http://" + server + "/source"), resolve(server), echo(server), sendUnconnected(server)}
	if err := json.NewEncoder(os.Stdout).Encode(out); err != nil {
		fail(err)
	}
}
