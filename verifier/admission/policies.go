// SPDX-License-Identifier: Apache-2.0

package admission

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/hallmark-dev/hallmark/policy"
)

// ErrNotReady means that the policies have not been read from the API server yet. Nothing can be decided before.
var ErrNotReady = errors.New("the image trust policies are not read yet (hint: retry in a moment; if it lasts, see the hallmark-controller's log)")

// Policy is an ImageTrustPolicy ready to be asked, or the reason why it cannot be.
type Policy struct {
	Name    string
	Problem error               // non-nil: the spec is invalid, and whatever it covers is denied
	Program *policy.TrustPolicy // nil if Problem is set
	images  []string
}

// Policies reads the ImageTrustPolicies of the cluster and keeps their compiled form. Methods may be called at the same time.
type Policies struct {
	reader client.Reader
	synced func() bool

	mu       sync.Mutex // guards compiled; never held while the reader is asked
	compiled map[types.UID]compiled
}

type compiled struct {
	generation int64
	policy     Policy
}

// NewPolicies makes Policies out of a reader, which should be an informer's cache, and a function that reports whether that cache has been
// filled once. Until it has, nothing is decided.
func NewPolicies(reader client.Reader, synced func() bool) (*Policies, error) {
	if reader == nil || synced == nil {
		return nil, errors.New("policies need a reader and a function that reports whether it is filled")
	}
	return &Policies{reader: reader, synced: synced, compiled: map[types.UID]compiled{}}, nil
}

// Ready returns ErrNotReady until the policies have been read once.
func (p *Policies) Ready() error {
	if !p.synced() {
		return ErrNotReady
	}
	return nil
}

// All returns every policy of the cluster, valid or not, by name. Errors mean that the policies are unknown: deny.
func (p *Policies) All(ctx context.Context) ([]Policy, error) {
	if err := p.Ready(); err != nil {
		return nil, err
	}
	var list ImageTrustPolicyList
	if err := p.reader.List(ctx, &list); err != nil {
		return nil, fmt.Errorf("list image trust policies: %w", err)
	}
	p.forgetAllBut(list.Items)
	all := make([]Policy, 0, len(list.Items))
	for i := range list.Items {
		all = append(all, p.compile(&list.Items[i]))
	}
	slices.SortFunc(all, func(a, b Policy) int { return strings.Compare(a.Name, b.Name) })
	return all, nil
}

// compile compiles a policy once per generation of its spec.
func (p *Policies) compile(object *ImageTrustPolicy) Policy {
	p.mu.Lock()
	defer p.mu.Unlock()
	if known, ok := p.compiled[object.UID]; ok && known.generation == object.Generation {
		return known.policy
	}
	made := Compile(object)
	p.compiled[object.UID] = compiled{object.Generation, made}
	return made
}

func (p *Policies) forgetAllBut(items []ImageTrustPolicy) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.compiled) <= len(items) {
		return
	}
	present := make(map[types.UID]bool, len(items))
	for i := range items {
		present[items[i].UID] = true
	}
	for uid := range p.compiled {
		if !present[uid] {
			delete(p.compiled, uid)
		}
	}
}

// Compile validates and compiles one object. It always returns a policy that can be asked: an invalid one denies.
func Compile(object *ImageTrustPolicy) Policy {
	program, err := policy.NewTrustPolicy(object.Name, object.Spec)
	if err == nil && program == nil {
		err = errors.New("compiling it gave nothing")
	}
	if err != nil {
		return Policy{Name: object.Name, Problem: err, images: slices.Clone(object.Spec.Images)}
	}
	return Policy{Name: object.Name, Program: program}
}

// anyDigest stands in for a digest that a reference does not have. Policies cover repositories, but speak only about canonical images.
const anyDigest = "sha256:0000000000000000000000000000000000000000000000000000000000000000"

// Covers reports whether the policy has a say about the image's repository, with or without a digest.
func (p Policy) Covers(image policy.Image) bool {
	if p.Problem != nil || p.Program == nil {
		return mayCover(p.images, image)
	}
	if image.Digest == "" {
		image.Digest = anyDigest
	}
	return p.Program.Matches(image)
}

// Mode says what a denial by this policy does in a namespace. An invalid policy always enforces: its mode is as doubtful as the rest of it.
func (p Policy) Mode(namespace string, now time.Time) policy.Mode {
	if p.Problem != nil || p.Program == nil {
		return policy.ModeEnforce
	}
	return p.Program.ModeFor(namespace, now)
}

// readablePrefix is a registry host and path components, each followed by a slash. The custom resource definition demands the same.
var readablePrefix = regexp.MustCompile(`^[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:[0-9]{1,5})?/([a-z0-9._-]+/)*$`)

// mayCover is the widest reading of an invalid policy's images. A prefix that is itself unreadable may mean any image, and so may no prefix
// at all: the author wanted something to be checked, and we cannot tell what.
func mayCover(prefixes []string, image policy.Image) bool {
	name := image.Registry + "/" + image.Repository
	for _, prefix := range prefixes {
		if !readablePrefix.MatchString(prefix) || strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return len(prefixes) == 0
}
