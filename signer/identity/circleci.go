// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"regexp"

	"github.com/sigstore/fulcio/pkg/certificate"
)

const circleciName = "circleci"

// circlePrefix is before the name of every claim of CircleCI's own.
const circlePrefix = "oidc.circleci.com/"

// circleci reads the tokens of CircleCI jobs. Claims: circleci.com/docs,
// "Using OpenID Connect tokens in jobs".
//
// Each organisation has an issuer of its own, whose last part is its id; the
// token must say the same id. ssh-rerun is the claim that tells whether a
// person is logged in to the job, so it is required; it is refused by policy.
// A fork's build, where forks get tokens at all, names the fork in vcs-origin.
// There is no claim for the commit or for a protected branch.
func circleci() provider {
	return provider{
		name:       circleciName,
		algorithms: []string{"RS256"},
		defaultURL: func(issuer string) string {
			if circleIssuer.MatchString(issuer) {
				return "https://circleci.com"
			}
			return ""
		},
		read: readCircleCI,
	}
}

var (
	circleIssuer = regexp.MustCompile(`^https://oidc\.circleci\.com/org/[0-9a-f-]{36}$`)
	// circleOrg is the end of every CircleCI's issuers, self-hosted ones too.
	circleOrg = regexp.MustCompile(`/org/([0-9a-f-]{36})$`)
	// originForm is a repository without scheme: host/owner/name.
	originForm = regexp.MustCompile(`^[A-Za-z0-9.-]+(:[0-9]+)?(/[A-Za-z0-9_.-]+)+$`)
)

func readCircleCI(r *reader, s Source) run {
	uid := func(name string) string { return r.matching(circlePrefix+name, required, uidForm, "a uid") }
	organisation := uid("org-id")
	project := uid("project-id")
	pipeline, definition := uid("pipeline-id"), uid("pipeline-definition-id")
	workflow, job := uid("workflow-id"), uid("job-id")
	origin := r.matching(circlePrefix+"vcs-origin", optional, originForm, "host/owner/repository")
	ref := r.ref(circlePrefix+"vcs-ref", optional)
	r.list(circlePrefix+"context-ids", optional)
	runner := ""
	if r.boolean(circlePrefix+"ssh-rerun", required) {
		runner = "ssh-rerun" // Fulcio's word; otherwise there is nothing to say
	}

	if r.err() != nil {
		return run{}
	}
	if m := circleOrg.FindStringSubmatch(s.Issuer); m != nil && m[1] != organisation {
		r.fail(ReasonContradiction, "organisation %s is not the issuer's", organisation)
	}
	if climbs(origin) {
		r.fail(ReasonBadClaim, "vcs-origin %.200q climbs", origin)
	}
	// Fulcio's forms, the double slash included: verifiers compare text.
	api, platform := s.URL+"/api/v2", s.URL+"/"
	if s.URL == "https://circleci.com" {
		platform = "https://app.circleci.com/"
	}
	signer := r.uri(api, "projects/"+project+"/pipeline-definitions/"+definition)
	repository := ""
	if origin != "" {
		repository = r.uri("https:/", origin)
	}
	invocation := r.uri(platform, "workflow/"+workflow+"/job/"+job)
	return run{id: invocation, san: signer, extensions: certificate.Extensions{
		BuildSignerURI:                  signer,
		RunnerEnvironment:               runner,
		SourceRepositoryURI:             repository,
		SourceRepositoryRef:             ref,
		SourceRepositoryIdentifier:      project,
		SourceRepositoryOwnerIdentifier: organisation,
		BuildConfigURI:                  r.uri(api, "pipeline/"+pipeline+"/config"),
		RunInvocationURI:                invocation,
	}}
}
