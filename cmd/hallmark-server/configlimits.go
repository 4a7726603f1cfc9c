// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"slices"

	"github.com/hallmark-dev/hallmark/signer"
	"github.com/hallmark-dev/hallmark/signer/identity"
)

// QuotasConfig bounds how many requests are served of whom: a request more than
// that is answered 429 with Retry-After. Every request with a valid token
// counts, dry runs and refused ones too. Without it nothing is bounded but the
// uses of a token.
type QuotasConfig struct {
	// Servers is how many servers serve this deployment. Each counts for itself
	// and gives its part: a count in the database would make the requests that
	// are refused cost the others a commit each. Default: 1.
	Servers int `yaml:"servers,omitempty"`
	// Identity is for each identity source, with all its projects.
	Identity QuotaConfig `yaml:"identity,omitempty"`
	// Project is for each project of an identity source: a repository id, or
	// where tokens have none, the URI of the certificate up to the @.
	Project QuotaConfig `yaml:"project,omitempty"`
	// Identities are other quotas for some identity sources, by name; what one
	// leaves out is as above.
	Identities map[string]IdentityQuotaConfig `yaml:"identities,omitempty"`
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
	if err := q.Identity.check("quotas.identity"); err != nil {
		return err
	}
	if err := q.Project.check("quotas.project"); err != nil {
		return err
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

// quotas are those of this server.
func (q QuotasConfig) quotas() signer.Quotas {
	servers := max(1, q.Servers)
	all := signer.Quotas{
		Identity: q.Identity.share(servers), Identities: map[string]signer.Quota{},
		Project: q.Project.share(servers), Projects: map[string]signer.Quota{},
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
