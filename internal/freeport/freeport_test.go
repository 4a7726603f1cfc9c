// SPDX-License-Identifier: Apache-2.0

package freeport_test

import (
	"net"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/hallmark-dev/hallmark/internal/freeport"
)

// TestAddress: what is found can be listened on, and is none of the ports that
// outgoing connections get.
func TestAddress(t *testing.T) {
	outgoing := 32768
	if raw, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range"); err == nil {
		outgoing, err = strconv.Atoi(strings.Fields(string(raw))[0])
		if err != nil {
			t.Fatal(err)
		}
	}
	for range 50 {
		address, err := freeport.Address(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		_, port, err := net.SplitHostPort(address)
		if err != nil {
			t.Fatal(err)
		}
		if n, err := strconv.Atoi(port); err != nil || n >= outgoing && outgoing >= 32000 {
			t.Errorf("port %s is one that connections get, %v", port, err)
		}
		l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
