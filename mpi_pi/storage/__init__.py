"""Files: replaced atomically, locked between runs, and JSON documents with a checksum.

atomic_file    a text file that appears complete, or not at all
lock_file      a lock between runs on any machines
json_document  JSON documents with a checksum, written and read
schema         validation of a document by a JSON schema
fields         JSON fields of shards, audits and origins
checkpoint     the checkpoint of a run
result_file    the document of a result, written and read
old_results    results of older schemas
result_checks  consistency of a result that was read
trial_log      the hits of every trial as text, written and read
examples       job scripts and hostfiles, copied to a folder of the user
merge          the result of a job from the results of its shards
"""
