// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"slices"

	"github.com/hallmark-dev/hallmark/signer"
	"github.com/hallmark-dev/hallmark/signer/identity"
)

// QuotasConfig bounds how many requests are served of whom: a request more than
// that is answered 429 with Retry-After. Every request with a valid token
// counts, dry runs and refused ones too. What is left out has the defaults
// below, also without any of it.
type QuotasConfig struct {
	// Unlimited takes every bound away, and stands alone: development and
	// benchmarks. One project can then take the service away from the others.
	Unlimited bool `yaml:"unlimited,omitempty"`
	// Servers is how many servers serve this deployment. Each counts for itself
	// and gives its part: a count in the database would make the requests that
	// are refused cost the others a commit each. Default: 1.
	Servers int `yaml:"servers,omitempty"`
	// Identity is for each identity source, with all its projects. Default: 6000
	// a minute, 12000 at once. perMinute 0: no bound, here and below.
	Identity *QuotaConfig `yaml:"identity,omitempty"`
	// Project is for each project of an identity source: a repository id, or
	// where tokens have none, the URI of the certificate up to the @. Default: 600
	// a minute, 1200 at once.
	Project *QuotaConfig `yaml:"project,omitempty"`
	// Strangers is for each project with a valid token of which no rule of the
	// policy speaks: they take nothing from the quotas above. Default: 10 a
	// minute, 20 at once.
	Strangers *QuotaConfig `yaml:"strangers,omitempty"`
	// Identities are other quotas for some identity sources, by name; what one
	// leaves out is as above.
	Identities map[string]IdentityQuotaConfig `yaml:"identities,omitempty"`
}

// The defaults hold where nothing is configured, because whoever configures
// nothing has not thought of it. They are above what a company's CI does and
// below what one project needs to take the service away from the others.
//
//   - A project: an image with its evidence is one request, so that 1200 at once
//     are a release of 1200 images from one repository, and 600 a minute is ten
//     images a second for as long as it likes: a sixth of what two cores sign.
//   - An identity source: more than two cores sign (60 a second). It keeps a
//     source from being everything that a larger machine does, and one that is
//     slower has its turns (signer/api).
//   - A stranger gets nothing in any case. Twenty answers are enough to find out
//     what is wrong with a new pipeline.
var (
	defaultIdentityQuota = QuotaConfig{PerMinute: 6000, Burst: 12_000}
	defaultProjectQuota  = QuotaConfig{PerMinute: 600, Burst: 1200}
	defaultStrangerQuota = QuotaConfig{PerMinute: 10, Burst: 20}
)

// quotasYAML writes the defaults out for the first configuration.
func quotasYAML() string {
	return fmt.Sprintf(`# How many requests are served of whom. These are the defaults; set servers if
# several serve this deployment, since each gives its part.
quotas:
  servers: 1
  identity: {perMinute: %d, burst: %d} # each identity source, with all its projects
  project: {perMinute: %d, burst: %d} # each repository
  strangers: {perMinute: %d, burst: %d} # each repository that no rule of the policy speaks of
`, defaultIdentityQuota.PerMinute, defaultIdentityQuota.Burst, defaultProjectQuota.PerMinute, defaultProjectQuota.Burst, defaultStrangerQuota.PerMinute, defaultStrangerQuota.Burst)
}

// QuotaConfig is a number of requests.
type QuotaConfig struct {
	// PerMinute is how many are served in the long run. 0: no bound.
	PerMinute int `yaml:"perMinute"`
	// Burst is how many are served at once after a pause. Default: perMinute.
	Burst int `yaml:"burst,omitempty"`
}

// IdentityQuotaConfig is for one identity source.
type IdentityQuotaConfig struct {
	Identity *QuotaConfig `yaml:"identity,omitempty"`
	Project  *QuotaConfig `yaml:"project,omitempty"`
}

// highestQuota keeps a typing error from being a quota that bounds nothing.
const highestQuota = 1_000_000

func (q QuotaConfig) check(what string) error {
	if q.PerMinute < 0 || q.PerMinute > highestQuota || q.Burst < 0 || q.Burst > highestQuota {
		return fmt.Errorf("%s: perMinute %d and burst %d must be 0 to %d", what, q.PerMinute, q.Burst, highestQuota)
	}
	if q.PerMinute == 0 && q.Burst > 0 {
		return fmt.Errorf("%s: burst without perMinute bounds nothing (hint: set perMinute, or remove it)", what)
	}
	return nil
}

func (q QuotasConfig) check(sources []identity.Source) error {
	if q.Servers < 0 {
		return fmt.Errorf("quotas.servers %d is below zero", q.Servers)
	}
	if q.Unlimited && (q.Servers != 0 || q.Identity != nil || q.Project != nil || q.Strangers != nil || q.Identities != nil) {
		return errors.New("quotas.unlimited: true bounds nothing, and so stands alone (hint: remove it, or the other quotas)")
	}
	for _, quota := range []struct {
		what string
		of   *QuotaConfig
	}{{"quotas.identity", q.Identity}, {"quotas.project", q.Project}, {"quotas.strangers", q.Strangers}} {
		if quota.of == nil {
			continue
		}
		if err := quota.of.check(quota.what); err != nil {
			return err
		}
	}
	for name, of := range q.Identities {
		if !slices.ContainsFunc(sources, func(s identity.Source) bool { return s.Name == name }) {
			return fmt.Errorf("quotas.identities: there is no identity source %q", name)
		}
		for what, quota := range map[string]*QuotaConfig{"identity": of.Identity, "project": of.Project} {
			if quota == nil {
				continue
			}
			if err := quota.check("quotas.identities." + name + "." + what); err != nil {
				return err
			}
		}
	}
	return nil
}

// share is this server's part of a quota: at least one request.
func (q QuotaConfig) share(servers int) signer.Quota {
	if q.PerMinute == 0 {
		return signer.Quota{}
	}
	burst := q.Burst
	if burst == 0 {
		burst = q.PerMinute
	}
	return signer.Quota{PerSecond: float64(q.PerMinute) / 60 / float64(servers), Burst: max(1, burst/servers)}
}

// or returns the quota, or what holds without one.
func (q *QuotaConfig) or(otherwise QuotaConfig) QuotaConfig {
	if q == nil {
		return otherwise
	}
	return *q
}

// quotas are those of this server.
func (q QuotasConfig) quotas() signer.Quotas {
	if q.Unlimited {
		return signer.Quotas{}
	}
	servers := max(1, q.Servers)
	all := signer.Quotas{
		Identity: q.Identity.or(defaultIdentityQuota).share(servers), Identities: map[string]signer.Quota{},
		Project: q.Project.or(defaultProjectQuota).share(servers), Projects: map[string]signer.Quota{},
		Stranger: q.Strangers.or(defaultStrangerQuota).share(servers),
	}
	for name, of := range q.Identities {
		if of.Identity != nil {
			all.Identities[name] = of.Identity.share(servers)
		}
		if of.Project != nil {
			all.Projects[name] = of.Project.share(servers)
		}
	}
	return all
}

// maxUses are the limits on the uses of tokens, by identity source.
func (c *Config) maxUses() map[string]int {
	uses := map[string]int{}
	for _, s := range c.Identities {
		uses[s.Name] = s.MaxUses
	}
	return uses
}
