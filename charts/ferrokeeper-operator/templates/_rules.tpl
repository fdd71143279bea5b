{{/* What the operator does in each namespace that it watches. */}}
{{- define "ferrokeeper.rules" -}}
- apiGroups: [ferrokeeper.io]
  resources: [zookeeperclusters]
  verbs: [get, list, watch]
- apiGroups: [ferrokeeper.io]
  resources: [zookeeperclusters/status]
  verbs: [update]
- apiGroups: [apps]
  resources: [statefulsets]
  verbs: [get, list, watch, create, patch]
- apiGroups: [""]
  resources: [services, configmaps]
  verbs: [get, list, watch, create, patch]
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [get, list, watch, create, patch]
- apiGroups: [""]
  resources: [persistentvolumeclaims]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [pods]
  verbs: [get, list, watch, delete]
# Written, never read: the sidecars' certificates.
- apiGroups: [""]
  resources: [secrets]
  verbs: [create, patch]
# Why a pod is missing.
- apiGroups: [""]
  resources: [events]
  verbs: [list]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
{{- end }}

{{- define "ferrokeeper.subject" -}}
- kind: ServiceAccount
  name: {{ include "ferrokeeper.serviceAccount" . }}
  namespace: {{ .Release.Namespace }}
{{- end }}
