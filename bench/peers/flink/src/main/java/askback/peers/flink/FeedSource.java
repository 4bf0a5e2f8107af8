package askback.peers.flink;

import askback.peers.Fault;
import askback.peers.Feed;
import askback.peers.Meter;
import java.io.Serializable;
import java.nio.ByteBuffer;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.locks.LockSupport;
import org.apache.flink.api.connector.source.Boundedness;
import org.apache.flink.api.connector.source.ReaderOutput;
import org.apache.flink.api.connector.source.Source;
import org.apache.flink.api.connector.source.SourceReader;
import org.apache.flink.api.connector.source.SourceReaderContext;
import org.apache.flink.api.connector.source.SourceSplit;
import org.apache.flink.api.connector.source.SplitEnumerator;
import org.apache.flink.api.connector.source.SplitEnumeratorContext;
import org.apache.flink.core.io.InputStatus;
import org.apache.flink.core.io.SimpleVersionedSerializer;

/** The feed as a Flink source: a share for each reader, and its position in each checkpoint. */
final class FeedSource<T> implements Source<T, FeedSource.Share, Map<Integer, FeedSource.Share>> {
    private static final long serialVersionUID = 1;

    /** Makes a tuple of the feed's index. */
    private interface Tuples<T> extends Serializable {
        T at(Feed feed, long index);
    }

    private final Tuples<T> tuples;

    private FeedSource(Tuples<T> tuples) {
        this.tuples = tuples;
    }

    static FeedSource<Long> ofNumbers() {
        return new FeedSource<>(Feed::number);
    }

    static FeedSource<String> ofLines() {
        return new FeedSource<>(Feed::line);
    }

    /** What a reader emits: the indices next, next+step, and so on. */
    record Share(int reader, int step, long next) implements SourceSplit {
        @Override
        public String splitId() {
            return Integer.toString(reader);
        }
    }

    @Override
    public Boundedness getBoundedness() {
        return Boundedness.CONTINUOUS_UNBOUNDED;
    }

    @Override
    public SourceReader<T, Share> createReader(SourceReaderContext context) {
        return new Reader<>(tuples, context.getIndexOfSubtask());
    }

    @Override
    public SplitEnumerator<Share, Map<Integer, Share>> createEnumerator(SplitEnumeratorContext<Share> context) {
        Map<Integer, Share> all = new HashMap<>();
        for (int reader = 0; reader < context.currentParallelism(); reader++) {
            all.put(reader, new Share(reader, context.currentParallelism(), reader));
        }
        return new Enumerator(context, all);
    }

    @Override
    public SplitEnumerator<Share, Map<Integer, Share>> restoreEnumerator(
            SplitEnumeratorContext<Share> context, Map<Integer, Share> unassigned) {
        return new Enumerator(context, unassigned);
    }

    @Override
    public SimpleVersionedSerializer<Share> getSplitSerializer() {
        return new ShareSerializer();
    }

    @Override
    public SimpleVersionedSerializer<Map<Integer, Share>> getEnumeratorCheckpointSerializer() {
        return new UnassignedSerializer();
    }

    private static final class Reader<T> implements SourceReader<T, Share> {
        private static final int AT_ONCE = 64; // tuples, before Flink may look after checkpoints
        private static final int PARK_NS = 50_000;

        private final CompletableFuture<Void> available = new CompletableFuture<>();
        private final Feed feed = Tasks.feed;
        private final Tuples<T> tuples;
        private final int reader;
        private Share share;
        private long next;

        Reader(Tuples<T> tuples, int reader) {
            this.tuples = tuples;
            this.reader = reader;
        }

        @Override
        public void start() {
            feed.begin();
        }

        @Override
        public InputStatus pollNext(ReaderOutput<T> out) {
            if (share == null) {
                return InputStatus.NOTHING_AVAILABLE;
            }
            if (!feed.due(next)) {
                LockSupport.parkNanos(PARK_NS);
                return InputStatus.MORE_AVAILABLE;
            }
            for (int i = 0; i < AT_ONCE && feed.due(next); i++) {
                out.collect(tuples.at(feed, next));
                next += share.step();
            }
            if (feed.paced()) {
                Meter.position(reader, next);
            }
            return InputStatus.MORE_AVAILABLE;
        }

        @Override
        public List<Share> snapshotState(long checkpoint) {
            return share == null ? List.of() : List.of(new Share(share.reader(), share.step(), next));
        }

        @Override
        public CompletableFuture<Void> isAvailable() {
            return available;
        }

        @Override
        public void addSplits(List<Share> shares) {
            share = shares.get(0);
            next = share.next();
            available.complete(null);
        }

        @Override
        public void notifyNoMoreSplits() {}

        @Override
        public void close() {
            Fault.noticed();
        }
    }

    /** Gives each reader its share, once. */
    private static final class Enumerator implements SplitEnumerator<Share, Map<Integer, Share>> {
        private final SplitEnumeratorContext<Share> context;
        private final Map<Integer, Share> unassigned;

        Enumerator(SplitEnumeratorContext<Share> context, Map<Integer, Share> unassigned) {
            this.context = context;
            this.unassigned = unassigned;
        }

        @Override
        public void start() {}

        @Override
        public void handleSplitRequest(int reader, String host) {}

        @Override
        public void addReader(int reader) {
            Share share = unassigned.remove(reader);
            if (share != null) {
                context.assignSplit(share, reader);
            }
        }

        @Override
        public void addSplitsBack(List<Share> shares, int reader) {
            for (Share share : shares) {
                unassigned.put(share.reader(), share);
            }
        }

        @Override
        public Map<Integer, Share> snapshotState(long checkpoint) {
            return new HashMap<>(unassigned);
        }

        @Override
        public void close() {}
    }

    private static final int SHARE_BYTES = 16;

    private static void put(ByteBuffer to, Share s) {
        to.putInt(s.reader()).putInt(s.step()).putLong(s.next());
    }

    private static Share get(ByteBuffer from) {
        return new Share(from.getInt(), from.getInt(), from.getLong());
    }

    private static final class ShareSerializer implements SimpleVersionedSerializer<Share> {
        @Override
        public int getVersion() {
            return 1;
        }

        @Override
        public byte[] serialize(Share share) {
            ByteBuffer b = ByteBuffer.allocate(SHARE_BYTES);
            put(b, share);
            return b.array();
        }

        @Override
        public Share deserialize(int version, byte[] data) {
            return get(ByteBuffer.wrap(data));
        }
    }

    private static final class UnassignedSerializer implements SimpleVersionedSerializer<Map<Integer, Share>> {
        @Override
        public int getVersion() {
            return 1;
        }

        @Override
        public byte[] serialize(Map<Integer, Share> unassigned) {
            ByteBuffer b = ByteBuffer.allocate(SHARE_BYTES * unassigned.size());
            unassigned.values().forEach(share -> put(b, share));
            return b.array();
        }

        @Override
        public Map<Integer, Share> deserialize(int version, byte[] data) {
            Map<Integer, Share> unassigned = new HashMap<>();
            for (ByteBuffer b = ByteBuffer.wrap(data); b.hasRemaining(); ) {
                Share share = get(b);
                unassigned.put(share.reader(), share);
            }
            return unassigned;
        }
    }
}
