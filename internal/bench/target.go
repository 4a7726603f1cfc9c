// SPDX-License-Identifier: Apache-2.0

package main

import (
	"time"

	"github.com/hallmark-dev/hallmark/internal/bench/load"
	"github.com/hallmark-dev/hallmark/internal/lab"
)

// target is a deployment that is measured: the servers that get the load, and
// how to judge what they answer.
type target struct {
	name    string
	servers []*lab.Lab
	trust   *load.Trust
	// postmaster is PostgreSQL's process, or zero.
	postmaster int
}

// newTarget starts a deployment whose log anybody may write to.
func (b *bench) newTarget(name string, o lab.Options) (*target, error) {
	o.Writers = "open"
	l := lab.Start(b.stage, o)
	trust, err := load.ReadTrust(l.TrustedRoot())
	return &target{name: name, servers: []*lab.Lab{l}, trust: trust}, err
}

func (t *target) urls() []string {
	urls := make([]string, len(t.servers))
	for i, s := range t.servers {
		urls[i] = s.URL
	}
	return urls
}

// cpu is what the servers, and PostgreSQL with them, have used so far.
func (t *target) cpu() time.Duration {
	sum := cpuOfTree(t.postmaster)
	for _, s := range t.servers {
		sum += cpuOf([]int{s.PID()})
	}
	return sum
}

// resident is the largest resident set of any of the servers, bytes, now and
// ever.
func (t *target) resident() (now, most int64) {
	for _, s := range t.servers {
		now, most = max(now, residentNow(s.PID())), max(most, residentMost(s.PID()))
	}
	return now, most
}

// kill is kill -9 of the servers, stop SIGTERM.
func (b *bench) kill(t *target) {
	for _, s := range t.servers {
		s.Kill(b.stage)
	}
}

func (b *bench) stop(t *target) {
	for _, s := range t.servers {
		s.Stop(b.stage)
	}
}
