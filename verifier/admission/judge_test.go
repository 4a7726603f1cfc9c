// SPDX-License-Identifier: Apache-2.0

package admission

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hallmark-dev/hallmark/policy"
)

// shelf is a reader with a list of policies on it, or an error.
type shelf struct {
	items []ImageTrustPolicy
	err   error
}

func (s shelf) List(_ context.Context, into client.ObjectList, _ ...client.ListOption) error {
	list, ok := into.(*ImageTrustPolicyList)
	if !ok {
		return fmt.Errorf("asked for %T", into)
	}
	list.Items = s.items
	return s.err
}

func (s shelf) Get(context.Context, client.ObjectKey, client.Object, ...client.GetOption) error {
	return errors.New("not used")
}

// trustPolicy makes a valid policy that covers a prefix.
func trustPolicy(name, prefix string, change ...func(*policy.TrustPolicySpec)) ImageTrustPolicy {
	p := ImageTrustPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID("uid-" + name), Generation: 1},
		Spec: policy.TrustPolicySpec{
			Images:  []string{prefix},
			Signers: []policy.Signer{{Name: "ci", Issuer: "https://ci.example", Subject: "https://ci.example/job"}},
			Require: policy.Requirements{Signature: policy.SignatureRequirement{Signers: []string{"ci"}}},
		},
	}
	for _, f := range change {
		f(&p.Spec)
	}
	return p
}

func warn(s *policy.TrustPolicySpec)   { s.Mode = policy.ModeWarn }
func broken(s *policy.TrustPolicySpec) { s.Require.Signature.Signers = nil }

// said is a decision of the tests.
type said struct {
	allowed bool
	reasons []string
}

func (s said) Allowed() bool     { return s.allowed }
func (s said) Reasons() []string { return s.reasons }

// judgeWith makes a judge whose registry is reg.example, and that allows what allow says. Nil allows every image.
func judgeWith(t *testing.T, items []ImageTrustPolicy, change ...func(*Config)) *Judge {
	t.Helper()
	policies, err := NewPolicies(shelf{items: items}, func() bool { return true })
	if err != nil {
		t.Fatal(err)
	}
	c := Config{
		Policies: policies, Registries: []string{"reg.example"}, Parse: parse, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
		Decide: func(_ context.Context, _ policy.Image, ps []*policy.TrustPolicy) ([]Decision, error) {
			return repeat(said{allowed: true}, len(ps)), nil
		},
	}
	for _, f := range change {
		f(&c)
	}
	j, err := NewJudge(c)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

func repeat(d Decision, n int) []Decision { return slices.Repeat([]Decision{d}, n) }

// parse reads host/repository[:tag][@digest], which is enough here; the real parser has its own tests.
func parse(reference string) (policy.Image, error) {
	name, digest, _ := strings.Cut(reference, "@")
	host, rest, ok := strings.Cut(name, "/")
	if !ok {
		return policy.Image{}, errors.New("names no registry host")
	}
	repository, tag, _ := strings.Cut(rest, ":")
	return policy.Image{Registry: host, Repository: repository, Tag: tag, Digest: digest}, nil
}

func digest(n int) string { return fmt.Sprintf("sha256:%064x", n) }

func ref(repository string, n int) string { return "reg.example/" + repository + "@" + digest(n) }

func ask(references ...string) Question {
	q := Question{Namespace: "default", Object: `Pod "thing"`}
	for i, r := range references {
		q.Judge = append(q.Judge, Position{Containers, fmt.Sprintf("c%d", i), r})
	}
	return q
}

func mustJudge(t *testing.T, j *Judge, q Question) Verdict {
	t.Helper()
	v, err := j.Judge(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestTheZeroValuesDeny(t *testing.T) {
	if (Verdict{}).Allowed() || (Verdict{Findings: make([]Finding, 1)}).Allowed() || !(Finding{}).Denied() || !(Cell{}).Denied() {
		t.Error("a zero value allows")
	}
	row := Finding{Cells: []Cell{{Allowed: true}, {}}}
	if !row.Denied() {
		t.Error("a row with a zero cell allows")
	}
	var c Cell
	c.enter([]answer{{}})
	if c.Allowed {
		t.Error("a cell without a question took somebody's answer")
	}
	c.answer = 1
	c.enter([]answer{{}})
	if c.Allowed || !c.Undecided {
		t.Error("a zero answer allows")
	}
}

func TestJudgeByTheReferenceAlone(t *testing.T) {
	items := []ImageTrustPolicy{trustPolicy("prod", "reg.example/prod/")}
	tests := map[string]struct {
		reference string
		reason    string // part of the message, or "" for allowed
	}{
		"signed image":                 {ref("prod/app", 1), ""},
		"with tag and digest":          {"reg.example/prod/app:1@" + digest(1), ""},
		"no image":                     {"", "names no image"},
		"unreadable":                   {"nginx", "names no registry host"},
		"foreign registry":             {"docker.io/library/nginx@" + digest(1), `registry "docker.io" is not the central registry (hint: build it in CI and push it to reg.example)`},
		"registry with the same start": {"reg.example.evil/prod/app@" + digest(1), "is not the central registry"},
		"tag only":                     {"reg.example/prod/app:1", "has no digest"},
		"neither tag nor digest":       {"reg.example/prod/app", "has no digest"},
		"no policy":                    {ref("production/app", 1), `no ImageTrustPolicy covers "reg.example/production/app"`},
		"no policy and no digest":      {"reg.example/test/app:1", "no ImageTrustPolicy covers"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			v := mustJudge(t, judgeWith(t, items), ask(ref("prod/good", 9), test.reference))
			if v.Allowed() != (test.reason == "") {
				t.Errorf("allowed: got %t", v.Allowed())
			}
			if test.reason != "" && !strings.Contains(v.Message(), test.reason) {
				t.Errorf("message %q lacks %q", v.Message(), test.reason)
			}
			if test.reason != "" && strings.Contains(v.Message(), "good") {
				t.Errorf("message names the good image: %q", v.Message())
			}
		})
	}
}

// Every policy that covers an image must allow it, whatever their order, and so must every position.
func TestJudgeJoinsByAnd(t *testing.T) {
	items := []ImageTrustPolicy{trustPolicy("a", "reg.example/"), trustPolicy("b", "reg.example/prod/"), trustPolicy("c", "reg.example/prod/x/"), trustPolicy("other", "reg.example/other/")}
	for _, no := range []string{"", "a", "b", "c", "other"} {
		for range 2 {
			slices.Reverse(items)
			j := judgeWith(t, items, func(c *Config) {
				c.Decide = func(_ context.Context, image policy.Image, ps []*policy.TrustPolicy) ([]Decision, error) {
					var all []Decision
					for _, p := range ps {
						all = append(all, said{allowed: p.Name() != no || image.Digest == digest(1), reasons: []string{p.Name() + " says no"}})
					}
					return all, nil
				}
			})
			for bad := range 3 {
				images := []string{ref("prod/x/app", 1), ref("prod/x/app", 1), ref("prod/x/app", 1)}
				images[bad] = ref("prod/x/app", 2)
				v := mustJudge(t, j, ask(images...))
				if want := no == "" || no == "other"; v.Allowed() != want {
					t.Errorf("policy %q refuses image %d: allowed %t, want %t", no, bad, v.Allowed(), want)
				}
				if !v.Allowed() && !strings.Contains(v.Message(), no+" says no") {
					t.Errorf("message %q does not say who", v.Message())
				}
			}
		}
	}
}

func TestJudgeLooksAtEachImageOnce(t *testing.T) {
	var mu sync.Mutex
	calls := map[policy.Image][]string{}
	j := judgeWith(t, []ImageTrustPolicy{trustPolicy("a", "reg.example/"), trustPolicy("b", "reg.example/prod/")}, func(c *Config) {
		c.Decide = func(_ context.Context, image policy.Image, ps []*policy.TrustPolicy) ([]Decision, error) {
			mu.Lock()
			defer mu.Unlock()
			for _, p := range ps {
				calls[image] = append(calls[image], p.Name())
			}
			return repeat(said{allowed: true}, len(ps)), nil
		}
	})
	v := mustJudge(t, j, ask(ref("prod/app", 1), "reg.example/prod/app:v1@"+digest(1), "reg.example/prod/app:v2@"+digest(1), ref("prod/app", 2), ref("prod/other", 1)))
	if !v.Allowed() {
		t.Fatal(v.Message())
	}
	if len(calls) != 3 {
		t.Errorf("%d different images asked, want 3: %v", len(calls), calls)
	}
	for image, policies := range calls {
		if !slices.Equal(policies, []string{"a", "b"}) {
			t.Errorf("%v was put to %q, want each policy once", image, policies)
		}
		if image.Tag != "" {
			t.Errorf("the tag %q is part of the question", image.Tag)
		}
	}
}

func TestJudgeDeniesWhatCouldNotBeDecided(t *testing.T) {
	type decide = func(context.Context, policy.Image, []*policy.TrustPolicy) ([]Decision, error)
	tests := map[string]struct {
		decide decide
		reason string
	}{
		"error": {func(context.Context, policy.Image, []*policy.TrustPolicy) ([]Decision, error) {
			return nil, errors.New("registry is down")
		}, "registry is down"},
		"error and answer": {func(context.Context, policy.Image, []*policy.TrustPolicy) ([]Decision, error) {
			return repeat(said{allowed: true}, 2), errors.New("half")
		}, "half"},
		"nothing": {func(context.Context, policy.Image, []*policy.TrustPolicy) ([]Decision, error) { return nil, nil }, "no decision was made by 2 of 2 policies"},
		"too few": {func(context.Context, policy.Image, []*policy.TrustPolicy) ([]Decision, error) {
			return repeat(said{allowed: true}, 1), nil
		}, "no decision was made by 1 of 2"},
		"nil decisions": {func(context.Context, policy.Image, []*policy.TrustPolicy) ([]Decision, error) {
			return make([]Decision, 2), nil
		}, "no decision was made"},
		"panic": {func(context.Context, policy.Image, []*policy.TrustPolicy) ([]Decision, error) { panic("oops") }, "internal error"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			j := judgeWith(t, []ImageTrustPolicy{trustPolicy("a", "reg.example/"), trustPolicy("b", "reg.example/prod/")}, func(c *Config) { c.Decide = test.decide })
			v := mustJudge(t, j, ask(ref("prod/app", 1)))
			if v.Allowed() || !v.Undecided() {
				t.Errorf("allowed %t, undecided %t", v.Allowed(), v.Undecided())
			}
			if !strings.Contains(v.Message(), test.reason) {
				t.Errorf("message %q lacks %q", v.Message(), test.reason)
			}
		})
	}
}

func TestJudgeDeniesWhenItsTimeIsUp(t *testing.T) {
	stuck := make(chan struct{})
	t.Cleanup(func() { close(stuck) })
	var asked atomic.Int32
	j := judgeWith(t, []ImageTrustPolicy{trustPolicy("a", "reg.example/")}, func(c *Config) {
		c.Timeout = 50 * time.Millisecond
		c.Decide = func(_ context.Context, image policy.Image, ps []*policy.TrustPolicy) ([]Decision, error) {
			asked.Add(1)
			if image.Repository == "stuck" {
				<-stuck // ignores its context, as a bad dependency might
			}
			return repeat(said{allowed: true}, len(ps)), nil
		}
	})
	v := mustJudge(t, j, ask(ref("stuck", 1), ref("fine", 1)))
	if v.Allowed() || !v.Undecided() || v.Findings[1].Denied() {
		t.Errorf("allowed %t, undecided %t, fine image denied %t", v.Allowed(), v.Undecided(), v.Findings[1].Denied())
	}
	if !strings.Contains(v.Message(), "not looked at in time") {
		t.Errorf("message: %q", v.Message())
	}
	if asked.Load() != 2 {
		t.Errorf("%d images looked at, want 2", asked.Load())
	}
}

// A stuck dependency takes up slots; a request that finds none is denied at its own deadline and is not kept waiting for ever.
func TestJudgeBoundsVerificationsOfAllRequests(t *testing.T) {
	var running, most atomic.Int32
	started, release := make(chan struct{}, 12*6), make(chan struct{})
	j := judgeWith(t, []ImageTrustPolicy{trustPolicy("a", "reg.example/")}, func(c *Config) {
		c.Timeout = time.Minute
		c.Decide = func(_ context.Context, _ policy.Image, ps []*policy.TrustPolicy) ([]Decision, error) {
			now := running.Add(1)
			defer running.Add(-1)
			for {
				if seen := most.Load(); now <= seen || most.CompareAndSwap(seen, now) {
					break
				}
			}
			started <- struct{}{}
			<-release
			return repeat(said{allowed: true}, len(ps)), nil
		}
	})
	var requests sync.WaitGroup
	for n := range 12 {
		requests.Go(func() {
			var images []string
			for i := range 6 {
				images = append(images, ref(fmt.Sprintf("r%d", n), i))
			}
			if v, err := j.Judge(context.Background(), ask(images...)); err != nil || !v.Allowed() {
				t.Errorf("request %d: %v %v", n, v.Message(), err)
			}
		})
	}
	for range workersInTotal { // until all slots are taken
		<-started
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if v, err := j.Judge(ctx, ask(ref("late", 1))); err != nil || v.Allowed() {
		t.Errorf("a cancelled request was allowed: %v", err)
	}
	close(release)
	requests.Wait()
	if most.Load() > workersInTotal {
		t.Errorf("%d verifications at once, the limit is %d", most.Load(), workersInTotal)
	}
}

func TestJudgeBoundsImagesNotPositions(t *testing.T) {
	j := judgeWith(t, []ImageTrustPolicy{trustPolicy("a", "reg.example/")})
	var same, different []string
	for n := range maxImages + 1 {
		same, different = append(same, ref("app", 1)), append(different, ref("app", n))
	}
	if v := mustJudge(t, j, ask(same...)); !v.Allowed() {
		t.Errorf("%d containers of one image: %s", len(same), v.Message())
	}
	if v := mustJudge(t, j, ask(different[1:]...)); !v.Allowed() {
		t.Errorf("%d images: %s", len(different)-1, v.Message())
	}
	if v, err := j.Judge(t.Context(), ask(different...)); err == nil || v.Allowed() || !strings.Contains(err.Error(), "limit") {
		t.Errorf("%d images: got %v, %v; want an error that names the limit", len(different), v, err)
	}
}

func TestJudgeModes(t *testing.T) {
	refuse := func(c *Config) {
		c.Decide = func(_ context.Context, _ policy.Image, ps []*policy.TrustPolicy) ([]Decision, error) {
			return repeat(said{reasons: []string{"unsigned"}}, len(ps)), nil
		}
	}
	until := func(s *policy.TrustPolicySpec) {
		s.Namespaces = []policy.NamespaceMode{{Namespace: "sandbox", Mode: policy.ModeWarn, Until: "2030-01-01T00:00:00Z"}}
	}
	enforceThere := func(s *policy.TrustPolicySpec) {
		s.Mode = policy.ModeWarn
		s.Namespaces = []policy.NamespaceMode{{Namespace: "payments", Mode: policy.ModeEnforce}}
	}
	app := "reg.example/app"
	tests := map[string]struct {
		items     []ImageTrustPolicy
		namespace string
		image     string
		year      int
		allowed   bool
		warnings  int
	}{
		"enforce":                               {[]ImageTrustPolicy{trustPolicy("a", "reg.example/")}, "default", app + "@" + digest(1), 2029, false, 0},
		"warn":                                  {[]ImageTrustPolicy{trustPolicy("a", "reg.example/", warn)}, "default", app + "@" + digest(1), 2029, true, 1},
		"warn, tag only":                        {[]ImageTrustPolicy{trustPolicy("a", "reg.example/", warn)}, "default", app + ":1", 2029, true, 1},
		"warn, foreign registry":                {[]ImageTrustPolicy{trustPolicy("a", "reg.example/", warn)}, "default", "docker.io/x/y@" + digest(1), 2029, false, 0},
		"warn, unreadable":                      {[]ImageTrustPolicy{trustPolicy("a", "reg.example/", warn)}, "default", "nginx", 2029, false, 0},
		"warn, not covered":                     {[]ImageTrustPolicy{trustPolicy("a", "reg.example/x/", warn)}, "default", app + "@" + digest(1), 2029, false, 0},
		"warn and enforce":                      {[]ImageTrustPolicy{trustPolicy("a", "reg.example/", warn), trustPolicy("b", "reg.example/")}, "default", app + "@" + digest(1), 2029, false, 1},
		"two that warn":                         {[]ImageTrustPolicy{trustPolicy("a", "reg.example/", warn), trustPolicy("b", "reg.example/", warn)}, "default", app + "@" + digest(1), 2029, true, 2},
		"namespace that warns":                  {[]ImageTrustPolicy{trustPolicy("a", "reg.example/", until)}, "sandbox", app + "@" + digest(1), 2029, true, 1},
		"namespace that warned until now":       {[]ImageTrustPolicy{trustPolicy("a", "reg.example/", until)}, "sandbox", app + "@" + digest(1), 2030, false, 0},
		"namespace with a longer name":          {[]ImageTrustPolicy{trustPolicy("a", "reg.example/", until)}, "sandbox2", app + "@" + digest(1), 2029, false, 0},
		"namespace that enforces":               {[]ImageTrustPolicy{trustPolicy("a", "reg.example/", enforceThere)}, "payments", app + "@" + digest(1), 2029, false, 0},
		"invalid policy that would have warned": {[]ImageTrustPolicy{trustPolicy("a", "reg.example/", warn, broken)}, "default", app + "@" + digest(1), 2029, false, 0},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			j := judgeWith(t, test.items, refuse, func(c *Config) {
				c.Now = func() time.Time { return time.Date(test.year, 1, 1, 0, 0, 1, 0, time.UTC) }
			})
			q := ask(test.image)
			q.Namespace = test.namespace
			v := mustJudge(t, j, q)
			if v.Allowed() != test.allowed || len(v.Warnings()) != test.warnings {
				t.Errorf("allowed %t, warnings %q; want %t and %d", v.Allowed(), v.Warnings(), test.allowed, test.warnings)
			}
		})
	}
}

func TestNewJudgeRefusesWhatIsMissing(t *testing.T) {
	whole := judgeWith(t, nil).config
	for name, change := range map[string]func(*Config){
		"policies":   func(c *Config) { c.Policies = nil },
		"registries": func(c *Config) { c.Registries = nil },
		"parser":     func(c *Config) { c.Parse = nil },
		"decider":    func(c *Config) { c.Decide = nil },
		"logger":     func(c *Config) { c.Log = nil },
	} {
		c := whole
		change(&c)
		if _, err := NewJudge(c); err == nil {
			t.Errorf("without %s: no error", name)
		}
	}
}
