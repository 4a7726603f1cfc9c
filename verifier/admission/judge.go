// SPDX-License-Identifier: Apache-2.0

package admission

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/hallmark-dev/hallmark/policy"
)

// Limits of one judge, each a deny that names it when it is reached.
const (
	// Timeout is how long a judge thinks about one request. The webhook configuration grants ten seconds; the two between them carry our
	// reason to the user, who would else read "context deadline exceeded".
	Timeout = 8 * time.Second
	// maxAnswers is how many different questions (digest and policy) one request may raise. Real pods raise a handful.
	maxAnswers = 128
	// workersPerRequest leaves room for other requests when one raises many questions.
	workersPerRequest = 8
	// workersInTotal bounds connections to the registry and the memory that bundles take, 32 MiB each at the worst.
	workersInTotal = 32
)

// Decision is the part of a verifier.Decision that a verdict is made of. Its zero value denies.
type Decision interface {
	Allowed() bool
	Reasons() []string // why not; sentences a developer can act on
}

// Config is what a Judge works with. All fields but Timeout and Now are compulsory.
type Config struct {
	// Policies are the cluster's trust policies.
	Policies *Policies
	// Registries are the central registry's hosts, host or host:port in lower case. Images from anywhere else are denied.
	Registries []string
	// Parse turns a reference as a person wrote it into its canonical form, or fails: strict, inventing no defaults.
	Parse func(reference string) (policy.Image, error)
	// Decide answers for one image, named by digest, under one policy. An error means that it could not be decided. It is called from
	// several goroutines at once and must return when the context ends.
	Decide func(ctx context.Context, p *policy.TrustPolicy, image policy.Image) (Decision, error)
	// Log receives what must not be lost, such as panics.
	Log *slog.Logger
	// Timeout ends the work on one request; zero means the constant Timeout.
	Timeout time.Duration
	// Now is the clock; nil means time.Now. Modes of policies can end at a time.
	Now func() time.Time
}

// Judge puts every image of a question before every policy that covers it.
type Judge struct {
	config Config
	slots  chan struct{} // one per verification under way, of all requests
}

// NewJudge makes a Judge.
func NewJudge(c Config) (*Judge, error) {
	switch {
	case c.Policies == nil:
		return nil, errors.New("judge needs policies")
	case c.Parse == nil || c.Decide == nil:
		return nil, errors.New("judge needs Parse and Decide")
	case c.Log == nil:
		return nil, errors.New("judge needs a logger")
	case len(c.Registries) == 0:
		return nil, errors.New("judge needs the host of the central registry (hint: --registry HOST)")
	}
	if c.Timeout == 0 {
		c.Timeout = Timeout
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Judge{config: c, slots: make(chan struct{}, workersInTotal)}, nil
}

// Judge answers a question in four steps: the policies in force, the grid of image positions and policies, the answers that the grid needs
// (each different one once), and their entry into the grid. An error means that nothing could be decided; a position that could not be
// decided is a denied cell of the verdict.
func (j *Judge) Judge(ctx context.Context, q Question) (Verdict, error) {
	ctx, cancel := context.WithTimeout(ctx, j.config.Timeout)
	defer cancel()

	policies, err := j.config.Policies.All(ctx)
	if err != nil {
		return Verdict{}, err
	}

	verdict := Verdict{Namespace: q.Namespace, Object: q.Object, Findings: make([]Finding, len(q.Judge))}
	var ask asked
	for i, position := range q.Judge {
		verdict.Findings[i] = j.lay(position, policies, q.Namespace, &ask)
	}
	if len(ask.questions) > maxAnswers {
		return Verdict{}, fmt.Errorf("the object raises %d questions (different images times policies), more than the limit of %d", len(ask.questions), maxAnswers)
	}

	answers := j.answerAll(ctx, ask.questions)

	for i := range verdict.Findings {
		for c := range verdict.Findings[i].Cells {
			verdict.Findings[i].Cells[c].enter(answers)
		}
	}
	return verdict, nil
}

// lay makes the row of the grid for one position. What can be told from the reference alone is told here; the rest is asked.
func (j *Judge) lay(position Position, policies []Policy, namespace string, ask *asked) Finding {
	finding := Finding{Position: position}
	if position.Reference == "" {
		return finding.refuse("names no image")
	}
	image, err := j.config.Parse(position.Reference)
	if err != nil {
		return finding.refuse(err.Error())
	}
	if !slices.Contains(j.config.Registries, image.Registry) {
		return finding.refuse(fmt.Sprintf("registry %q is not the central registry (hint: build it in CI and push it to %s)",
			image.Registry, strings.Join(j.config.Registries, " or ")))
	}
	now := j.config.Now()
	for _, p := range policies {
		if !p.Covers(image) {
			continue
		}
		cell := Cell{Policy: p.Name, Mode: p.Mode(namespace, now)}
		switch {
		case p.Problem != nil || p.Program == nil:
			cell.Reasons = []string{fmt.Sprintf("the policy is invalid and denies what it covers: %v (hint: kubectl describe imagetrustpolicy %s)", p.Problem, p.Name)}
		case image.Digest == "":
			cell.Reasons = []string{"has no digest (hint: deploy the reference with @sha256:… that the CI job printed when it signed the image)"}
		default:
			image.Tag = "" // decoration: it is the digest that runs
			cell.answer = ask.question(question{policy: p.Program, image: image})
		}
		finding.Cells = append(finding.Cells, cell)
	}
	if len(finding.Cells) == 0 {
		return finding.refuse(fmt.Sprintf("no ImageTrustPolicy covers %q (hint: use a repository that one covers, or ask the cluster's operators for one)",
			image.Registry+"/"+image.Repository))
	}
	return finding
}

// asked collects the different questions of one request.
type asked struct {
	questions []question
	numbers   map[question]int // counted from one, so that the zero value of a Cell has no answer
}

type question struct {
	policy *policy.TrustPolicy
	image  policy.Image
}

func (a *asked) question(q question) int {
	if n, ok := a.numbers[q]; ok {
		return n
	}
	if a.numbers == nil {
		a.numbers = map[question]int{}
	}
	a.questions = append(a.questions, q)
	a.numbers[q] = len(a.questions)
	return len(a.questions)
}
