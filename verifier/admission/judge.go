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
	// maxImages is how many different images one request may bring. Real pods bring a handful.
	maxImages = 64
	// workersPerRequest leaves room for other requests when one brings many images.
	workersPerRequest = 4
	// workersInTotal bounds connections to the registry. The memory that evidence takes is the Decider's to bound.
	workersInTotal = 16
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
	// Decide answers for one image, named by digest, under each of some policies: decisions[i] is that of policies[i]. An error means
	// that nothing could be decided about the image. It is called from several goroutines at once and must return when the context ends.
	// Decider.Decide is the one that verifies.
	Decide func(ctx context.Context, image policy.Image, policies []*policy.TrustPolicy) (decisions []Decision, err error)
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
// (each different image is looked at once), and their entry into the grid. An error means that nothing could be decided; a position that could not be
// decided is a denied cell of the verdict.
func (j *Judge) Judge(ctx context.Context, q Question) (Verdict, error) {
	ctx, cancel := context.WithTimeout(ctx, j.config.Timeout)
	defer cancel()

	policies, err := j.config.Policies.All(ctx)
	if err != nil {
		return Verdict{}, err
	}

	verdict := Verdict{Namespace: q.Namespace, Object: q.Object, Findings: make([]Finding, len(q.Judge))}
	var ask inquiries
	for i, position := range q.Judge {
		verdict.Findings[i] = j.lay(position, policies, q.Namespace, &ask)
	}
	if len(ask.all) > maxImages {
		return Verdict{}, fmt.Errorf("the object names %d different images, more than the limit of %d", len(ask.all), maxImages)
	}

	answers := j.answerAll(ctx, ask.all)

	for i := range verdict.Findings {
		for c := range verdict.Findings[i].Cells {
			verdict.Findings[i].Cells[c].enter(answers)
		}
	}
	return verdict, nil
}

// lay makes the row of the grid for one position. What can be told from the reference alone is told here; the rest is asked.
func (j *Judge) lay(position Position, policies []Policy, namespace string, ask *inquiries) Finding {
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
	tagged := image.Digest == ""
	image.Tag = "" // decoration: it is the digest that runs
	now := j.config.Now()
	for _, p := range policies {
		if !p.Covers(image) {
			continue
		}
		cell := Cell{Policy: p.Name, Mode: p.Mode(namespace, now)}
		switch {
		case p.Problem != nil || p.Program == nil:
			cell.Reasons = []string{fmt.Sprintf("policy %q is invalid and denies what it covers: %v (hint: the cluster's operators must repair it)", p.Name, p.Problem)}
		case tagged:
			cell.Reasons = []string{fmt.Sprintf("policy %q: has no digest, and a tag can be moved (hint: deploy the reference with @sha256:… that the CI job printed when it signed the image)", p.Name)}
		default:
			finding.image = image.Registry + "/" + image.Repository + "@" + image.Digest
			cell.program, cell.answer = p.Program, ask.about(image, p.Program)
		}
		finding.Cells = append(finding.Cells, cell)
	}
	if len(finding.Cells) == 0 {
		return finding.refuse(fmt.Sprintf("no ImageTrustPolicy covers %q (hint: use a repository that one covers, or ask the cluster's operators for one)",
			image.Registry+"/"+image.Repository))
	}
	return finding
}

// inquiry is one image and the policies that have a say about it.
type inquiry struct {
	image    policy.Image
	policies []*policy.TrustPolicy
}

// inquiries collects the different images of one request.
type inquiries struct {
	all     []*inquiry
	numbers map[policy.Image]int // counted from one, so that the zero value of a Cell has no answer
}

// about asks for an image under a policy and returns the number of the answer to come.
func (a *inquiries) about(image policy.Image, p *policy.TrustPolicy) int {
	n, known := a.numbers[image]
	if !known {
		if a.numbers == nil {
			a.numbers = map[policy.Image]int{}
		}
		a.all = append(a.all, &inquiry{image: image})
		n = len(a.all)
		a.numbers[image] = n
	}
	if asked := a.all[n-1]; !slices.Contains(asked.policies, p) {
		asked.policies = append(asked.policies, p)
	}
	return n
}
