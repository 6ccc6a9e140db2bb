"""What happens by itself: new seeds are taken in, stale shards made anew, datasets published.

Jobs are what can be started by hand, too; sensors and the schedule only decide when. Each of them
looks at the folders and not at what it has done, so that one which was down for a week, or whose
history is lost, goes on where the data stands.
"""

from assets.automation.jobs import make_shard, publish_all, take_in_seeds, take_reviews
from assets.automation.new_reviews import new_reviews
from assets.automation.new_seeds import new_seeds
from assets.automation.newly_accepted import newly_accepted
from assets.automation.nightly import nightly

JOBS = [take_in_seeds, make_shard, take_reviews, publish_all]
SENSORS = [new_seeds, newly_accepted, new_reviews]
SCHEDULES = [nightly]
