// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hallmark-dev/hallmark/e2e/stock"
	"github.com/hallmark-dev/hallmark/internal/devissuer"
	"github.com/hallmark-dev/hallmark/internal/lab"
	"github.com/hallmark-dev/hallmark/signer"
)

// Targets of signing, everything on the same two cores.
const (
	signingClients  = 16
	imagesLeast     = 60.0   // images a second, each with a signature and three attestations
	imageMost       = 1000.0 // ms, p99
	refusalMost     = 2.0    // ms of CPU
	ofCosignMost    = 0.1    // CPU seconds of an image, of cosign's
	inFlightMost    = 200.0  // MB
	refusals        = 400
	inFlightRetries = 5
)

// signing measures images that are signed and attested, beside stock cosign
// doing the same, refusals, and what a thousand requests at a time cost.
func (b *bench) signing() error {
	b.report.title(fmt.Sprintf("images, each with a signature and three attestations, %d clients", signingClients))
	three, err := attestations(smallImage)
	if err != nil {
		return err
	}
	large, err := attestations(largeImage)
	if err != nil {
		return err
	}
	l := lab.Start(b.stage, lab.Options{Writers: "open", BundleLog: b.bundleLog, Config: noQuotas})
	if err := b.images(l, three); err != nil {
		return err
	}
	r, note, err := b.signImages(l, large, "acme/large")
	if err != nil {
		return err
	}
	b.report.say("%s", row(fmt.Sprintf("the same with SBOMs of %d packages", largeImage), r, note))
	if err := b.besideCosign(l, three); err != nil {
		return err
	}
	if err := b.refused(l); err != nil {
		return err
	}
	l.Stop(b.stage)
	return b.crowded(large)
}

// clientOf is a client that keeps its connections.
func clientOf(connections int) *http.Client {
	return &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: connections}}
}

// images judges the closed loop.
func (b *bench) images(l *lab.Lab, three []attestation) error {
	r, note, err := b.signImages(l, three, "acme/images")
	if err != nil {
		return err
	}
	b.report.atLeast("images a second", r.perSecond(), imagesLeast, "/s", note)
	b.report.atMost("an image, p99", ms(r.p99()), imageMost, "ms", fmt.Sprintf("p50 %.0f ms", ms(r.p50())))
	return nil
}

// signImages signs and attests images, each in a job of its own, with one
// request.
func (b *bench) signImages(l *lab.Lab, three []attestation, repository string) (r result, note string, err error) {
	refs, err := push(b.ctx, l.Registry, repository, b.scale.images)
	if err != nil {
		return r, "", err
	}
	tokens := make([]string, len(refs))
	for i := range tokens {
		tokens[i] = l.Token(b.stage, devissuer.GitHub)
	}
	client := clientOf(signingClients)
	before, own := cpuOf([]int{l.PID()}), cpuOf([]int{os.Getpid()})
	r, err = loop(b.ctx, signingClients, len(refs), func(ctx context.Context, i int) error {
		return post(ctx, client, l.URL+"/hallmark/v1/sign", tokens[i], signBody(refs[i], three), http.StatusOK)
	})
	perImage := func(d time.Duration) float64 { return ms(d) / float64(len(refs)) }
	return r, fmt.Sprintf("CPU of an image: service %.1f ms, registry and load generator %.1f ms",
		perImage(cpuOf([]int{l.PID()})-before), perImage(cpuOf([]int{os.Getpid()})-own)), err
}

// besideCosign compares the processor time of an image: hallmark's command and
// the service, cosign's four and the log's, of both versions. They take turns.
// cosign signs with a key of its own, which is the least that it can do.
func (b *bench) besideCosign(l *lab.Lab, three []attestation) error {
	c, err := b.newCompetitor(l, three)
	if err != nil {
		return err
	}
	turns := []struct {
		name string
		sign func(image string)
	}{
		{"hallmark", c.hallmark},
		{stock.CosignV2, func(image string) { c.cosign(stock.CosignV2, image, "--rekor-url="+l.URL) }},
		{stock.CosignV3, func(image string) {
			c.cosign(stock.CosignV3, image, "--trusted-root="+l.TrustedRoot(), "--signing-config="+filepath.Join(l.Dir, "trust", "signing_config.v0.2.json"))
		}},
	}
	refs, err := push(b.ctx, l.Registry, "acme/compared", len(turns)*b.scale.compared)
	if err != nil {
		return err
	}
	spent := map[string]time.Duration{}
	for i := range b.scale.compared {
		for j, turn := range turns {
			spent[turn.name] += b.cpuOfCommands(l, func() { turn.sign(refs[len(turns)*i+j]) })
		}
	}
	each := func(name string) float64 { return ms(spent[name]) / float64(b.scale.compared) }
	for _, stockName := range []string{stock.CosignV2, stock.CosignV3} {
		b.report.atMost("CPU of an image, client, service and log, of "+stockName+"'s", each("hallmark")/each(stockName), ofCosignMost, "",
			fmt.Sprintf("%.0f ms, sign and three attest of %s %.0f ms", each("hallmark"), stockName, each(stockName)))
	}
	return nil
}

// competitor has what the commands need.
type competitor struct {
	b     *bench
	lab   *lab.Lab
	dir   string // with the key pair
	three []attestation
	files []string // of their predicates
}

func (b *bench) newCompetitor(l *lab.Lab, three []attestation) (*competitor, error) {
	c := &competitor{b: b, lab: l, dir: b.TempDir(), three: three}
	for i, a := range three {
		file := filepath.Join(c.dir, fmt.Sprintf("predicate-%d.json", i))
		if err := os.WriteFile(file, a.predicate, 0o600); err != nil {
			return nil, err
		}
		c.files = append(c.files, file)
	}
	c.run(stock.CosignV2, "generate-key-pair")
	return c, nil
}

func (c *competitor) run(version string, args ...string) {
	got := stock.Command{Tool: version, Dir: c.dir, Env: []string{"COSIGN_PASSWORD="}}.Run(c.b.stage, args...)
	if got.Code != 0 {
		c.b.Fatalf("%s %s: %s", version, strings.Join(args, " "), got.Stderr)
	}
}

func (c *competitor) cosign(version, image string, flags ...string) {
	flags = append(flags, "--key=cosign.key", "--yes", "--allow-http-registry", "--allow-insecure-registry")
	c.run(version, append(append([]string{"sign"}, flags...), image)...)
	for i, a := range c.three {
		c.run(version, append(append([]string{"attest", "--type", a.kind, "--predicate", c.files[i]}, flags...), image)...)
	}
}

func (c *competitor) hallmark(image string) {
	token := c.lab.Token(c.b.stage, devissuer.GitHub)
	args := []string{"sign", image}
	for i, a := range c.three {
		args = append(args, "--"+a.evidence, c.files[i])
	}
	if got := c.lab.Hallmark(c.b.stage, token, args...); got.Code != 0 {
		c.b.Fatalf("hallmark %s: %s", strings.Join(args, " "), got.Stderr)
	}
}

// cpuOfCommands is the processor time of the programs that f runs to their ends
// and of the service meanwhile.
func (b *bench) cpuOfCommands(l *lab.Lab, f func()) time.Duration {
	sum := func() time.Duration {
		own, _ := readStat(os.Getpid()) // we exist
		return own.reaped + cpuOf([]int{l.PID()})
	}
	before := sum()
	f()
	return sum() - before
}

// refused measures requests that policy refuses.
func (b *bench) refused(l *lab.Lab) error {
	refs, err := push(b.ctx, l.Registry, "acme/refused", 1)
	if err != nil {
		return err
	}
	token := l.Token(b.stage, devissuer.GitHub, "event_name=pull_request")
	client := clientOf(signingClients)
	for _, tc := range []struct {
		what, token string
		want        int
	}{{"policy refuses", token, http.StatusForbidden}, {"the token is no good", token[:len(token)-4] + "AAAA", http.StatusUnauthorized}} {
		before, n := cpuOf([]int{l.PID()}), refusals
		if tc.want == http.StatusUnauthorized {
			n = 100 // more in a row are answered 429
		}
		_, err := loop(b.ctx, signingClients, n, func(ctx context.Context, _ int) error {
			return post(ctx, client, l.URL+"/hallmark/v1/sign", tc.token, []byte(`{"image":"`+refs[0]+`"}`), tc.want)
		})
		if err != nil {
			return err
		}
		b.report.atMost("CPU of a request that is refused: "+tc.what, ms(cpuOf([]int{l.PID()})-before)/float64(n), refusalMost, "ms", "")
	}
	return nil
}

// noQuotas takes the bound on one project away, from whose name all images of a
// measurement are signed: ten a second are the default, sixty are measured.
const noQuotas = "quotas: {unlimited: true}"

// stall is a registry that answers nobody before it is told to.
type stall struct {
	arrived atomic.Int64
	open    chan struct{}
	once    sync.Once
}

func (s *stall) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/v2/acme/crowd") && r.Method == http.MethodGet {
			s.arrived.Add(1)
			<-s.open
		}
		next.ServeHTTP(w, r)
	})
}

// crowded has a thousand jobs ask at once, each for an image and an SBOM of its
// own, while the registry is slow.
func (b *bench) crowded(three []attestation) error {
	n := b.scale.inFlight
	slow := &stall{open: make(chan struct{})}
	backing := httptest.NewServer(slow.wrap(lab.NewRegistry()))
	b.Cleanup(backing.Close)
	b.Cleanup(func() { slow.once.Do(func() { close(slow.open) }) })
	l := lab.Start(b.stage, lab.Options{Registry: strings.TrimPrefix(backing.URL, "http://"), BundleLog: b.bundleLog, MaxUses: signer.HighestMaxUses, Config: noQuotas})
	idle := residentMost(l.PID())
	refs, err := push(b.ctx, l.Registry, "acme/crowd", n)
	if err != nil {
		return err
	}
	token := l.Token(b.stage, devissuer.GitHub)
	client := clientOf(n)
	var largest, begun, again atomic.Int64
	go func() {
		for begun.Load() < int64(n) && b.ctx.Err() == nil {
			time.Sleep(time.Millisecond)
		}
		time.Sleep(b.scale.stall)
		largest.Store(residentNow(l.PID()))
		slow.once.Do(func() { close(slow.open) })
	}()
	r, err := loop(b.ctx, n, len(refs), func(ctx context.Context, i int) error {
		begun.Add(1)
		path, body := "/hallmark/v1/sign", []byte(`{"image":"`+refs[i]+`"}`)
		if i%2 == 0 {
			path, body = "/hallmark/v1/attest", three[0].attestBody(refs[i])
		}
		// Who waits too long is told to come again.
		err := post(ctx, client, l.URL+path, token, body, http.StatusOK)
		for retries := 0; err != nil && strings.Contains(err.Error(), "problem:busy") && retries < inFlightRetries; retries++ {
			again.Add(1)
			time.Sleep(time.Second)
			err = post(ctx, client, l.URL+path, token, body, http.StatusOK)
		}
		return err
	})
	if err != nil {
		return err
	}
	b.report.atMost(fmt.Sprintf("RSS with %d requests in flight, the most", n), mb(residentMost(l.PID())), inFlightMost, "MB",
		fmt.Sprintf("%.0f MB while the registry stood still, %.0f MB idle; all answered after %.1f s, %d of them told 503 before", mb(largest.Load()), mb(idle), r.took.Seconds(), again.Load()))
	return nil
}
